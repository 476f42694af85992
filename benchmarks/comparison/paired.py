"""How much better one contender is than another on the same pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .results import Result

RESAMPLES = 10_000
Picture = tuple[str, str]
"""Dataset and key."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it lies with 95 % confidence, in the units of what was averaged."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.mean:+.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


def paired_differences(first: Iterable[Result], second: Iterable[Result]) -> NDArray[np.float64]:
    """Return for each picture the share of seeds that ``first`` is right in, less ``second``'s.

    A picture counts where both were tested on it with the same fold and seed. One value a picture,
    not one a test of it: what is easy with one seed is easy with the next.
    """
    mine, theirs = _right(first), _right(second)
    by_picture: dict[Picture, list[int]] = {}
    for test in sorted(mine.keys() & theirs.keys()):
        picture, _ = test
        by_picture.setdefault(picture, []).append(mine[test] - theirs[test])
    return np.array([np.mean(values) for values in by_picture.values()])


def _right(results: Iterable[Result]) -> Mapping[tuple[Picture, tuple[int, int]], int]:
    return {
        ((one.trial.dataset, key), (one.trial.fold, one.trial.seed)): int(right)
        for one in results
        for key, right in one.right.items()
    }


def bootstrap_interval(
    differences: Sequence[float] | NDArray[np.float64], seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Draw pictures with replacement, and take the middle 95 % of the means.

    The interval is of the choice of pictures; that of the seeds is in it only as far as they are
    averaged.

    Source: percentile bootstrap, Efron & Tibshirani 1993, chapter 13.
    """
    values = np.asarray(differences, float)
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
