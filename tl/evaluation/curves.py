"""ROC and precision-recall curves of each class against all others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS = 100
"""Of a curve that is drawn; a test set of 10,000 has as many as pictures."""


def class_curves(
    probabilities: NDArray[Any], truth: NDArray[Any], class_names: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Return the curves of every class that has pictures, and others have.

    Args:
        probabilities: (n, n_classes).
        truth: (n,) class indices, or (n, n_classes) of 0 and 1.
        class_names: in label order.

    Returns:
        By class ``roc`` (pairs of false and true positive rate), ``roc_auc``,
        ``precision_recall`` (pairs of recall and precision) and ``average_precision``.
    """
    from sklearn.metrics import (
        average_precision_score,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    curves: dict[str, dict[str, Any]] = {}
    for label, name in enumerate(class_names):
        true = truth == label if truth.ndim == 1 else truth[:, label] > 0.5
        if not true.any() or true.all():
            continue
        scores = probabilities[:, label]
        false_rate, true_rate, _ = roc_curve(true, scores)
        precision, recall, _ = precision_recall_curve(true, scores)
        curves[name] = {
            "roc": _thinned(false_rate, true_rate),
            "roc_auc": float(roc_auc_score(true, scores)),
            "precision_recall": _thinned(recall[::-1], precision[::-1]),
            "average_precision": float(average_precision_score(true, scores)),
        }
    return curves


def _thinned(x: NDArray[Any], y: NDArray[Any]) -> list[list[float]]:
    """Return the points nearest to equal steps along the curve, both ends included.

    A curve of few points is kept whole: its corners are what there is of it.
    """
    if len(x) <= POINTS:
        return [[round(float(a), 5), round(float(b), 5)] for a, b in zip(x, y, strict=True)]
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    steps = np.linspace(0, along[-1], POINTS)
    places = np.unique(np.searchsorted(along, steps).clip(0, len(x) - 1))
    return [[round(float(x[place]), 5), round(float(y[place]), 5)] for place in places]
