"""How sure a score is, and whether two scores of the same pictures differ at all. Pure numpy."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Z_95 = 1.959964
RESAMPLES = 1000
BIASED = frozenset({"expected_calibration_error"})
BLOCK = 2**22
"""Weights at once, 32 MB."""


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


Figure = Callable[[Floats], Floats]
"""A score of samples: weights (samples, pictures), how often each counts -> (samples,)."""


def mean_figure(values: NDArray[Any]) -> Figure:
    """Return the mean of a value that every picture has, (pictures,)."""
    values = np.asarray(values, np.float64)
    return lambda weights: np.asarray(weights @ values / weights.sum(axis=1))


def sums_by_group(
    weights: Floats, groups: NDArray[Any], n_groups: int, values: NDArray[Any] | None = None
) -> Floats:
    """Return the sum of ``weights * values`` over the pictures of each group, (samples, n_groups).

    Args:
        weights: (samples, pictures).
        groups: (pictures,), from 0 to below ``n_groups``.
        n_groups: how many.
        values: (pictures,); None is 1.
    """
    from scipy.sparse import csr_array  # takes 0.2 s to import

    rows = np.arange(len(groups))
    values = np.ones(len(groups)) if values is None else np.asarray(values, np.float64)
    members = csr_array((values, (rows, groups)), shape=(len(groups), n_groups))
    return np.asarray(weights @ members)


def intervals(
    figures: Mapping[str, Figure], count: int, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return bootstrap intervals of 95 % of several scores, from the same samples of pictures.

    A score that no sample changes, as where every answer is right, has no interval here: the
    samples tell nothing of it.

    Args:
        figures: scores by name; NaN where a sample has none.
        count: pictures, 1 or more.
        seed: of the samples.
    """
    known = _telling_samples(figures, count, seed)
    return {name: percentile_interval(values) for name, values in known.items()}


def _telling_samples(figures: Mapping[str, Figure], count: int, seed: int = 0) -> dict[str, Floats]:
    """Return the scores of the samples, of those figures that differ between samples."""
    together = resampled_figures(figures, count, seed)
    finite = {name: values[np.isfinite(values)] for name, values in together.items()}
    return {name: values for name, values in finite.items() if len(values) and np.ptp(values) > 0}


def resampled_figures(
    figures: Mapping[str, Figure], count: int, seed: int = 0
) -> dict[str, Floats]:
    """Return several scores of the same samples of the pictures, (RESAMPLES,) each."""
    found: dict[str, list[Floats]] = {name: [] for name in figures}
    for weights in _samples(count, seed):
        for name, figure in figures.items():
            found[name].append(figure(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _samples(count: int, seed: int) -> Iterator[Floats]:
    """Give how often each picture is in each sample, (samples, count), some at a time."""
    rng = np.random.default_rng(seed)
    at_once = min(RESAMPLES, max(1, BLOCK // count))
    for first in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - first)
        draws = rng.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def with_intervals(figures: Mapping[str, Figure], count: int) -> dict[str, Any]:
    """Return each figure with its interval beside it, ``<name>_interval: [low, high]``.

    Where samples of the pictures tell nothing, as where all answers are right, an accuracy has
    Wilson's interval, and another figure none.
    """
    everyone = np.ones((1, count))
    known = _telling_samples(figures, count)
    metrics: dict[str, Any] = {}
    for name, figure in figures.items():
        metrics[name] = value = float(figure(everyone)[0])
        if name in known:
            low, high = percentile_interval(known[name])
            if name in BIASED:
                # Every sample repeats pictures, and is further from calibrated than they are: what
                # the samples' middle is too high, the interval is too.
                shift = float(np.median(known[name])) - value
                low, high = max(0.0, low - shift), max(0.0, high - shift)
            metrics[f"{name}_interval"] = [low, high]
        elif name.endswith("accuracy"):
            metrics[f"{name}_interval"] = list(wilson(round(value * count), count))
    return metrics


def percentile_interval(scores: Floats) -> tuple[float, float]:
    """Return the 95 % interval of resampled scores."""
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)


def paired_p_value(one: Floats, other: Floats) -> float:
    """Return the two-sided p-value of two scores being equal, from the same samples of both."""
    below = (1 + int((one <= other).sum())) / (len(one) + 1)
    above = (1 + int((one >= other).sum())) / (len(one) + 1)
    return min(1.0, 2 * min(below, above))
