"""What can be wrong with a dataset: one file a family of findings."""
