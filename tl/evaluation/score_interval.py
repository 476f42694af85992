"""How sure a score is, and whether two scores of the same pictures differ at all. Pure numpy."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z_95 = 1.959964
RESAMPLES = 1000


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share: ``right`` of ``count``, 1 or more.

    Source: Wilson 1927; unlike the normal interval it keeps to [0, 1] and its width above 0.
    """
    share, z2 = right / count, Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the exact p-value of two classifiers being right equally often on the same pictures.

    Only the pictures that one of them gets right and the other wrong tell (McNemar 1947).

    Args:
        one: (pictures,), where it is right.
        other: likewise.
    """
    from scipy.stats import binomtest  # takes 0.5 s to import

    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    if not only_one + only_other:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def resampled(score: Callable[[NDArray[np.float32]], float], count: int, seed: int) -> Floats:
    """Return a score of many samples of the pictures, drawn with replacement (Efron 1979).

    Args:
        score: of weights (count,), how often each picture is in the sample.
        count: pictures, 1 or more.
        seed: of the samples; two scores with the same one are of the same samples.

    Returns:
        (RESAMPLES,).
    """
    rng = np.random.default_rng(seed)
    draws = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(RESAMPLES))
    return np.array([score(times.astype(np.float32)) for times in draws])


def percentile_interval(scores: Floats) -> tuple[float, float]:
    """Return the 95 % interval of resampled scores."""
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)


def paired_p_value(one: Floats, other: Floats) -> float:
    """Return the two-sided p-value of two scores being equal, from the same samples of both."""
    below = (1 + int((one <= other).sum())) / (len(one) + 1)
    above = (1 + int((one >= other).sum())) / (len(one) + 1)
    return min(1.0, 2 * min(below, above))
