"""Threads that answer requests, and a bound on how many requests wait for one.

Beyond the bound a request is told at once that there is too much to do. Without it, a server that
is asked for more than it can do answers everybody so late that nobody waits for it any more.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from serving.errors import Overloaded

_here = threading.local()


class Workers(ThreadPoolExecutor):
    """A pool of threads with a bounded queue.

    What does not fit runs on a thread of its own, where `refuse_if_overloaded` raises: the caller
    is answered in its own protocol, and questions about the server's state still are.
    """

    def __init__(self, threads: int, waiting: int, name: str) -> None:
        """Make a pool.

        Args:
            threads: that run requests.
            waiting: requests that may wait for one of them.
            name: of the threads.
        """
        super().__init__(threads, thread_name_prefix=name)
        self._room = threading.BoundedSemaphore(threads + waiting)
        self._words = (
            f"the server has {threads} requests in work and {waiting} waiting: try again later"
        )
        self._refusing = ThreadPoolExecutor(1, f"{name}-refusing", initializer=self._mark)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on a thread: of the pool, or where it is full of those that refuse."""
        if not self._room.acquire(blocking=False):
            return self._refusing.submit(fn, *args, **kwargs)
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:  # it is shut down
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread now."""
        return self._work_queue.qsize()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._refusing.shutdown(wait, cancel_futures=cancel_futures)

    def _mark(self) -> None:
        _here.words = self._words


def refuse_if_overloaded() -> None:
    """End a request that came to a thread that refuses.

    Raises:
        Overloaded: with what to do.
    """
    if words := getattr(_here, "words", None):
        raise Overloaded(words)
