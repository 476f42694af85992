"""Call a function on several threads, in order, holding few results at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Iterator[Result]:
    """Yield the function's results in the order of the items.

    Args:
        function: called on any of the threads.
        items: taken no more than ``ahead`` before the result that is waited for, where an
            executor's own ``map`` would take all of them at once.
        threads: how many.
        ahead: items under way beside the one that is waited for.
    """
    with ThreadPoolExecutor(max_workers=threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()
