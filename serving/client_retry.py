"""Call again what may be answered a moment later, until it is answered or the time is over.

Receives one attempt as a function, gives its answer or its last error. Predictions change nothing
on the server, so an attempt whose answer was lost may be made again.
"""

import asyncio
import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from serving.client_arguments import check_count, check_seconds
from serving.errors import ClientError, InvalidArgument, TimedOut

Answer = TypeVar("Answer")

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a call has to be over, with all its attempts and waits.

    Attributes:
        timeout_s: what was given for it.
        end_s: on the monotonic clock.
    """

    timeout_s: float
    end_s: float

    @classmethod
    def in_s(cls, timeout_s: float) -> Self:
        """Begin a call."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    @property
    def left_s(self) -> float:
        """What is left of it; not positive when it is over."""
        return self.end_s - time.monotonic()


def check_timeout(timeout_s: float) -> float:
    """Return a time that a call may take.

    Raises:
        InvalidArgument: it is none.
        TypeError: it is no number.
    """
    check_seconds("timeout_s", timeout_s)
    if not (0 < timeout_s < math.inf):
        raise InvalidArgument(f"timeout_s is {timeout_s}: give seconds, more than 0 and finite")
    return timeout_s


def check_retries(retries: int) -> int:
    """Return how often a call may be made again.

    Raises:
        InvalidArgument: less than never.
        TypeError: it is no whole number.
    """
    check_count("retries", retries)
    if retries < 0:
        raise InvalidArgument(f"retries is {retries}: give 0 to call once, or more")
    return retries


def backoff_s(attempt: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Draw the wait after an attempt: anything up to a bound that doubles with each.

    Args:
        attempt: the first is 1.
        draw: between two bounds.

    Source: "full jitter" in M. Brooker, Exponential Backoff and Jitter, AWS 2015. Clients that
    were refused together do not come back together.
    """
    return draw(0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(attempt - 1, 10)))


async def call(
    attempt: Callable[[float], Awaitable[Answer]], where: str, retries: int, deadline: Deadline
) -> Answer:
    """Make attempts until one is answered.

    Args:
        attempt: receives the seconds that are left.
        where: whom it asks, for messages.
        retries: attempts after the first.
        deadline: for all of them and the waits between.

    Raises:
        TimedOut: the deadline passed.
        ClientError: the last attempt's, where another cannot help or cannot end in time.
    """
    for attempts in itertools.count(1):
        try:
            async with asyncio.timeout(deadline.left_s):
                return await attempt(deadline.left_s)
        except TimeoutError as error:
            raise TimedOut(
                f"{where} did not answer within {deadline.timeout_s:g} s: "
                "raise timeout_s, or send fewer examples at once"
            ) from error
        except ClientError as error:
            wait_s = max(error.retry_after_s, backoff_s(attempts))
            if not error.transient or attempts > retries or wait_s >= deadline.left_s:
                raise
        await asyncio.sleep(wait_s)
    raise AssertionError("the loop above has no end")
