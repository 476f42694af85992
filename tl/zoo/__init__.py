"""Backbones: which there are, where their weights are found, and how they are built."""
