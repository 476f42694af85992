"""Formats that pictures come in, one file a family; each function gives a `Dataset`."""
