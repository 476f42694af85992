"""How sure a score is, and whether two scores of the same pictures differ at all. Pure numpy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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


Groups = NDArray[np.intp] | None
"""Number of each picture's group, (pictures,); None where each picture stands for itself."""


def group_numbers(groups: Sequence[str | None]) -> Groups:
    """Number the groups that pictures belong to; None is a group of its own."""
    if all(group is None for group in groups):
        return None
    names = [f"own {place}" if one is None else f"of {one}" for place, one in enumerate(groups)]
    numbers: NDArray[np.intp] = np.unique(np.array(names), return_inverse=True)[1]
    return numbers


def _telling_samples(
    figures: Mapping[str, Figure], count: int, groups: Groups
) -> dict[str, Floats]:
    """Return the scores of the samples, of those figures that differ between samples."""
    together = resampled_figures(figures, count, groups=groups)
    finite = {name: values[np.isfinite(values)] for name, values in together.items()}
    return {name: values for name, values in finite.items() if len(values) and np.ptp(values) > 0}


def resampled_figures(
    figures: Mapping[str, Figure], count: int, seed: int = 0, groups: Groups = None
) -> dict[str, Floats]:
    """Return several scores of the same samples of the pictures, (RESAMPLES,) each.

    Pictures of one group, as of one patient, are alike and say less than as many others: whole
    groups are drawn, not pictures (cluster bootstrap, Field and Welsh 2007).
    """
    found: dict[str, list[Floats]] = {name: [] for name in figures}
    units = count if groups is None else int(groups.max()) + 1
    for times in _samples(units, seed, at_once=max(1, BLOCK // count)):
        weights = times if groups is None else times[:, groups]
        for name, figure in figures.items():
            found[name].append(figure(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _samples(count: int, seed: int, at_once: int) -> Iterator[Floats]:
    """Give how often each of so many is in each sample, (samples, count), some at a time."""
    rng = np.random.default_rng(seed)
    at_once = min(RESAMPLES, at_once)
    for first in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - first)
        draws = rng.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def with_intervals(
    figures: Mapping[str, Figure], count: int, groups: Groups = None
) -> dict[str, Any]:
    """Return each figure with its interval beside it, ``<name>_interval: [low, high]``.

    Where samples of the pictures tell nothing, as where all answers are right, an accuracy has
    Wilson's interval, and another figure none.
    """
    everyone = np.ones((1, count))
    known = _telling_samples(figures, count, groups)
    units = count if groups is None else int(groups.max()) + 1
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
            metrics[f"{name}_interval"] = list(wilson(round(value * units), units))
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
