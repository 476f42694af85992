"""An event loop on a thread of its own, for callers that have none."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from serving.errors import Closed

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for the threads of a program, until it is stopped."""

    def __init__(self, at_end: Callable[[], Awaitable[None]]) -> None:
        """Start the thread.

        Args:
            at_end: runs on the loop after everything else has ended.
        """
        self._at_end = at_end
        self._lock = threading.Lock()
        self._is_open = True
        self._stopped = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a client that nobody closed does not keep the process.
        self._thread = threading.Thread(target=self._run, name="serving-client", daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Start a coroutine and give its future, whose `cancel` cancels it.

        Raises:
            Closed: the loop was stopped, or is another process's.
        """
        with self._lock:  # what is begun before the stop is also ended by it
            # Threads do not go along into a process that is forked.
            if self._is_open and self._thread.is_alive():
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise Closed("this client is closed, or was made before the process forked: make another")

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end; an interrupt of the caller cancels it.

        Raises:
            Closed: the loop is stopped, also meanwhile.
        """
        return wait(self.begin(work))

    def stop(self) -> None:
        """Cancel what is under way, and end the thread soon."""
        with self._lock:
            if self._is_open and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._is_open = False

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        await self._stopped.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._at_end()


def wait(future: Future[Result]) -> Result:
    """Return what a future ends with.

    Raises:
        Closed: the loop was stopped meanwhile.
    """
    try:
        return future.result()
    except CancelledError as error:
        raise Closed("the client was closed before the answer came") from error
    finally:
        future.cancel()  # without effect on one that has ended
