"""How well scores put the pictures of a class before all others, as samples of them count.

Pure numpy; each figure is a function of how often every picture counts, for the bootstrap.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.score_interval import Figure

Floats = NDArray[np.floating[Any]]


def mean_of_known(figures: Sequence[Figure]) -> Figure:
    """Return the mean over classes that a sample has pictures of; of others the figure is NaN."""

    def figure(weights: Any) -> Any:
        values = np.stack([one(weights) for one in figures] or [np.zeros(len(weights))])
        known = np.isfinite(values)
        return np.where(known, values, 0).sum(axis=0) / np.maximum(1, known.sum(axis=0))

    return figure


def average_precision_of(scores: Floats, true: NDArray[np.bool_]) -> Figure:
    """Return the mean precision over the true ones, each at its own score as threshold.

    Args:
        scores: (n,), higher is more likely; equal ones share a threshold.
        true: (n,).

    Source: sum of (R_n - R_(n-1)) P_n over the thresholds, as in scikit-learn; NaN where no true
    one counts.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    right = np.flatnonzero(true[order])
    end_of = ends[np.searchsorted(ends, right)]  # of the equal scores that each belongs to
    last_right = np.searchsorted(right, end_of, side="right") - 1

    def figure(weights: Any) -> Any:
        counted = weights[:, order]
        looked_at = np.maximum(np.cumsum(counted, axis=1)[:, end_of], 1)
        hits = counted[:, right]
        found = np.cumsum(hits, axis=1)
        with np.errstate(invalid="ignore"):
            return (hits * found[:, last_right] / looked_at).sum(axis=1) / hits.sum(axis=1)

    return figure


def roc_auc_of(scores: Floats, true: NDArray[np.bool_]) -> Figure:
    """Return the share of pairs of a true one and another in which the true one scores higher.

    Args:
        scores: (n,); equal ones count half.
        true: (n,).

    Source: the statistic of Mann and Whitney 1947, which is the area under the ROC curve (Hanley
    and McNeil 1982); NaN where no true one counts, or no other.
    """
    order = np.argsort(scores, kind="stable")
    firsts = np.append(0, np.flatnonzero(np.diff(scores[order])) + 1)
    right, others = np.flatnonzero(true[order]), np.flatnonzero(~true[order])
    group = np.searchsorted(firsts, right, side="right") - 1
    ends = np.append(firsts[1:], len(scores))
    # How many others lie below the equal scores that each true one belongs to, and up to their end.
    below, up_to = (np.searchsorted(others, edge[group]) for edge in (firsts, ends))

    def figure(weights: Any) -> Any:
        hits, misses = weights[:, order[right]], weights[:, order[others]]
        passed = np.cumsum(np.pad(misses, ((0, 0), (1, 0))), axis=1)
        pairs = hits.sum(axis=1) * passed[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (hits * (passed[:, below] + passed[:, up_to]) / 2).sum(axis=1) / pairs

    return figure
