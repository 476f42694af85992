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
    last_of_equals = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    is_true = true[order]

    def figure(weights: Any) -> Any:
        counted = weights[:, order]
        found = np.cumsum(counted * is_true, axis=1)[:, last_of_equals]
        looked_at = np.maximum(np.cumsum(counted, axis=1)[:, last_of_equals], 1)
        gained = np.diff(found, prepend=0, axis=1)
        with np.errstate(invalid="ignore"):
            return (gained * found / looked_at).sum(axis=1) / found[:, -1]

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
    first_of_equals = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    is_true = true[order]

    def figure(weights: Any) -> Any:
        counted = weights[:, order]
        right = np.add.reduceat(counted * is_true, first_of_equals, axis=1)
        others = np.add.reduceat(counted * ~is_true, first_of_equals, axis=1)
        lower = np.cumsum(others, axis=1) - others
        pairs = right.sum(axis=1) * others.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (right * (lower + others / 2)).sum(axis=1) / pairs

    return figure
