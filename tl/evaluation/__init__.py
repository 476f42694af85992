"""Measures of an exported model, taken from what it answers on encoded pictures."""
