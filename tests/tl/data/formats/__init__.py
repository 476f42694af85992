"""A package, so that the tests can share `damage`."""
