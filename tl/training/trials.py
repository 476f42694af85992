"""What a machine computes fastest, found by trying: pictures an update, and with XLA or without.

Receives updates to time, gives the choice and the line that says why. Timing differs from one time
to the next, so a run decides once and keeps what it decided with its checkpoint.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tl.training.devices import cannot_be_compiled, is_out_of_memory
from tl.training.updates import Batch

SMALLEST = 16
UPDATES_AN_EPOCH = 16
"""At least, where there are as many pictures: fewer steps of a larger batch learn less."""
GAIN = 1.05
"""Growth of the throughput that a doubled batch has to bring; it costs every second update."""
MOST = 1024
MOST_ON_A_CPU = 128
"""Main memory that runs out ends the process; a GPU's raises an error that can be answered."""
SECONDS = 1.0
FEWEST, MOST_TIMED = 2, 20


@dataclass(frozen=True, slots=True)
class Settled:
    """How the updates of a run are computed.

    Attributes:
        batch_size: pictures an update.
        xla: compiled with XLA.
    """

    batch_size: int
    xla: bool


def sizes_to_try(n_pictures: int, kind: str) -> list[int]:
    """Return batch sizes from small to large, at least one.

    Args:
        n_pictures: of the training.
        kind: of device.
    """
    most = min(n_pictures // UPDATES_AN_EPOCH, MOST if kind == "GPU" else MOST_ON_A_CPU)
    sizes = [SMALLEST]
    while 2 * sizes[-1] <= most:
        sizes.append(2 * sizes[-1])
    return sizes


def fastest_size(
    rate_of: Callable[[int], float | None], sizes: Sequence[int]
) -> tuple[int, dict[int, float | None]]:
    """Return the size up to which the throughput grows, and what was found of those tried.

    Args:
        rate_of: gives pictures/s at a size; None where it does not fit into memory.
        sizes: from small to large; the first one stands if it does not fit either.
    """
    chosen = sizes[0]
    rates: dict[int, float | None] = {}
    for size in sizes:
        rate, before = rate_of(size), rates.get(chosen)
        rates[size] = rate
        if rate is None or (before is not None and rate <= GAIN * before):
            break
        chosen = size
    return chosen, rates


def size_line(chosen: int, rates: Mapping[int, float | None]) -> str:
    """Say which batch size was chosen, and why."""
    if not rates:
        return (
            f"batch size {chosen}: with more pictures an update an epoch would have fewer than "
            f"{UPDATES_AN_EPOCH} updates"
        )
    found = ", ".join(f"{_rate(rate)} at {size}" for size, rate in rates.items())
    return f"batch size {chosen} by trial, pictures/s: {found}"


def xla_line(chosen: bool, rates: Mapping[bool, float | None]) -> str:
    """Say whether XLA compiles the updates, and why."""
    return (
        f"XLA {'on' if chosen else 'off'} by trial, pictures/s: {_rate(rates[True])} with it, "
        f"{_rate(rates[False])} without"
    )


def _rate(rate: float | None) -> str:
    return "not possible" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def repeated(batch: Batch, size: int) -> Batch:
    """Return a batch of another size from the pictures of one, again and again."""
    rows = np.arange(size) % len(batch[0])
    return batch[0][rows], batch[1][rows], batch[2][rows]


def pictures_per_second(
    update: Callable[[Batch], Any], batch: Batch, clock: Callable[[], float] = time.perf_counter
) -> float | None:
    """Return how many pictures are learnt from in a second, once everything is compiled.

    Args:
        update: is timed, a few times; returns when it is done.
        batch: for all of them.
        clock: in seconds.

    Returns:
        By the median update; None where one finds no memory, or cannot be compiled.
    """
    seconds: list[float] = []
    try:
        update(batch)  # traces and compiles
        update(batch)
        while len(seconds) < FEWEST or (sum(seconds) < SECONDS and len(seconds) < MOST_TIMED):
            began = clock()
            update(batch)
            seconds.append(clock() - began)
    except Exception as error:
        if is_out_of_memory(error) or cannot_be_compiled(error):
            return None
        raise
    return len(batch[0]) / max(1e-9, statistics.median(seconds))
