"""Give memory that requests have used back to the system.

glibc keeps what is freed for the next request. After one with millions of strings that is a
gigabyte, which the process would hold on to until it ends, and a container pays for.
"""

import ctypes
import time

EVERY_S = 10.0  # a pass takes milliseconds, during which allocations wait


class Trimmer:
    """Gives freed memory back, at most once in a while."""

    def __init__(self) -> None:
        """Find the C library's way, where it has one."""
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._next_s = time.monotonic() + EVERY_S

    def trim(self) -> None:
        """Give memory back, if the last time is long enough ago."""
        if self._trim is not None and time.monotonic() >= self._next_s:
            self._trim(0)
            self._next_s = time.monotonic() + EVERY_S
