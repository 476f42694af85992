"""What the fuzzing tests share: damage to good requests, counts, and flat memory."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from serving.memory import EVERY_S

from .under_load import memory_mb

MOST_GROWTH_MB = 150
OWN_FAULT = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


def so_many(count: int) -> settings:
    """Return settings for so many examples, however long each of them takes."""
    return settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


@st.composite
def mutated(draw: Any, originals: list[bytes]) -> bytes:
    """Draw a valid request with some bytes changed, cut out, or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        new = draw(st.binary(max_size=6))
        data[place : place + draw(st.integers(0, 6))] = new
    return bytes(data)


def within_memory(
    server: Any, send: Callable[[Any, int], Counter[Any]], count: int, shares: Mapping[Any, float]
) -> None:
    """Send requests; the server's memory stays flat, and each code has its share of the answers."""
    seen = send(server, max(min(count, 200), count // 20))  # what is prepared once is not growth
    before = memory_mb(server)
    seen += send(server, count)
    deadline_s = time.monotonic() + 3 * EVERY_S  # what was freed is given back now and then
    while memory_mb(server) >= before + MOST_GROWTH_MB and time.monotonic() < deadline_s:
        time.sleep(1)
    assert memory_mb(server) < before + MOST_GROWTH_MB
    for code, share in shares.items():
        assert seen[code] > share * count, seen
