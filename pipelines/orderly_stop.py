"""Ctrl-C and SIGTERM end a training between two updates, where its state is whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def orderly_stop() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether a signal to stop has come.

    A second signal stops at once, as `KeyboardInterrupt`. In a thread other than the main one,
    which gets no signals, it never says so.
    """
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {one: signal.signal(one, ask) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
