"""Have a few things under way at once: their results in order, their failure at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from serving.client_arguments import check_count
from serving.errors import InvalidArgument, ServingError

CONCURRENCY = 4  # with 8 pictures a request within a tenth of the best; docs/client.md


class Future(Protocol):
    """What futures of threads and tasks of event loops have in common."""

    def cancel(self) -> bool:
        """End it, if it has not ended."""

    def cancelled(self) -> bool:
        """Tell whether it was ended."""

    def done(self) -> bool:
        """Tell whether it has ended."""

    def exception(self) -> BaseException | None:
        """Give what it ended with, if that is an error."""


Item = TypeVar("Item")
Result = TypeVar("Result")
Begun = TypeVar("Begun", bound=Future)


def in_order(
    items: Iterable[Item], begin: Callable[[Item], Begun], at_once: int
) -> Generator[tuple[Item, Begun], None, None]:
    """Begin work on each item, and give the items and their futures in order.

    The caller waits for each future. Once one has failed, nothing more is begun; what is under
    way when the iteration ends or is closed is cancelled.

    Args:
        items: taken as they are begun.
        begin: starts the work on one.
        at_once: how many may be under way.

    Raises:
        InvalidArgument: none may.
        TypeError: it is no whole number.
    """
    check_count("concurrency", at_once)
    if at_once < 1:
        raise InvalidArgument(f"concurrency is {at_once}: give 1 or more")
    return _in_order(items, begin, at_once)


def _in_order(
    items: Iterable[Item], begin: Callable[[Item], Begun], at_once: int
) -> Generator[tuple[Item, Begun], None, None]:
    under_way: deque[tuple[Item, Begun]] = deque()
    try:
        for item in items:
            under_way.append((item, begin(item)))
            if len(under_way) == at_once:
                yield under_way[0]
                under_way.popleft()
            if any(_has_failed(future) for _, future in under_way):
                break
        while under_way:
            yield under_way[0]
            under_way.popleft()
    finally:
        for _, future in under_way:
            future.cancel()


def as_one_call(
    work: Callable[[Item], Coroutine[Any, Any, Result]],
) -> Callable[[Item], Coroutine[Any, Any, Result]]:
    """Make the first failure that of all tasks that are under way.

    Whoever waits for them in order does not wait for an earlier one in vain.
    """
    under_way: set[asyncio.Task[Any]] = set()
    failures: list[tuple[ServingError, TracebackType | None]] = []

    async def run(item: Item) -> Result:
        under_way.add(task := _current_task())
        try:
            return await work(item)
        except asyncio.CancelledError:
            if failures:
                error, traceback = failures[0]
                raise error.with_traceback(traceback) from None
            raise
        except ServingError as error:
            failures.append((error, error.__traceback__))
            for other in under_way - {task}:
                other.cancel()
            raise
        finally:
            under_way.discard(task)

    return run


def left_in_peace(
    work: Callable[[Item], Coroutine[Any, Any, Result]],
) -> Callable[[Item], Coroutine[Any, Any, Result]]:
    """Make a failure that nobody waits for any more no news, not even to asyncio's log."""

    async def run(item: Item) -> Result:
        _current_task().add_done_callback(_has_failed)
        return await work(item)

    return run


def _current_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task


def _has_failed(future: Any) -> bool:
    return future.done() and not future.cancelled() and future.exception() is not None
