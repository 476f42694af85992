"""Layers of the lectures and papers that Keras lacks, one a file."""
