"""How many pictures a second a network takes on this machine."""

import statistics
import time
from typing import Any

import numpy as np

WARM_UP = 2
"""Calls that are not timed: the first compiles, the second fills caches."""
LEAST_CALLS = 5
BUDGET_S = 3.0
"""Of timed calls, unless the least takes longer."""


def pictures_per_second(model: Any, batch: int) -> float:
    """Time a network on random pictures; the median of the calls, warm.

    Random weights take as long as trained ones. The time is that of ``predict_on_batch``: a
    compiled graph, with what it takes to hand over an array and get one back.

    Args:
        model: of Keras, allocated, from pictures (batch, height, width, channels).
        batch: pictures a call.
    """
    pixels = np.random.default_rng(0).uniform(0, 255, (batch, *model.input_shape[1:]))
    pictures = pixels.astype("float32")
    for _ in range(WARM_UP):
        model.predict_on_batch(pictures)
    seconds: list[float] = []
    while len(seconds) < LEAST_CALLS or sum(seconds) < BUDGET_S:
        started = time.perf_counter()
        model.predict_on_batch(pictures)
        seconds.append(time.perf_counter() - started)
    return batch / statistics.median(seconds)
