"""Give memory that requests have used back to the system.

glibc keeps what is freed for the next request. After one with millions of strings that is a
gigabyte, which the process would hold on to until it ends, and a container pays for.
"""

import ctypes
import gc
import time

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

EVERY_S = 10.0  # a pass takes milliseconds, during which allocations wait


def give_back() -> None:
    """Give back what is free, where the C library has a way."""
    if _trim is not None:
        _trim(0)


class Trimmer:
    """Gives freed memory back, at most once in a while."""

    def __init__(self) -> None:
        """Begin to count the time."""
        self._next_s = time.monotonic() + EVERY_S

    def trim(self) -> None:
        """Give memory back, if the last time is long enough ago."""
        if time.monotonic() >= self._next_s:
            give_back()
            self._next_s = time.monotonic() + EVERY_S


def keep_imported() -> None:
    """Let the collector pass over what is there now; it takes 0.2 s to look through TensorFlow."""
    gc.collect()
    gc.freeze()


def collect_graphs() -> None:
    """Free the graphs of models that are closed or were not loaded.

    They refer to themselves, and hold the constants. Left to itself Python comes to look for them
    after several more have been loaded.
    """
    gc.collect()
