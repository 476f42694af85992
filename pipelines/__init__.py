"""Compositions of the stages of tl: one file a pipeline, each reads as its recipe."""
