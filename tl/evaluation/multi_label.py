"""Measures of independent answers for several classes a picture: numpy, no files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5
Floats = NDArray[np.floating[Any]]


def multi_label_metrics(
    probabilities: Floats, truth: Floats, class_names: Sequence[str]
) -> dict[str, Any]:
    """Measure multi-label classification.

    Args:
        probabilities: (n, n_classes), each class for itself.
        truth: (n, n_classes) of 0 and 1.
        class_names: in label order.

    Returns:
        ``n_pictures``, ``mean_average_precision`` (over the classes present) and
        ``chance_average_precision`` (what random scores reach: the mean share of a class);
        at a probability of 0.5 ``micro_f1`` (all answers together), ``macro_f1`` (mean over the
        classes present), ``exact_match`` (share of pictures with every class right) and
        ``hamming_loss`` (share of wrong answers); ``per_class`` (average_precision, None without
        a picture; precision, recall, f1, n_pictures).
    """
    true, guessed = truth > THRESHOLD, probabilities > THRESHOLD
    hits = (true & guessed).sum(axis=0)
    of_class, of_guess = true.sum(axis=0), guessed.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(of_guess > 0, hits / of_guess, 0.0)
        recall = np.where(of_class > 0, hits / of_class, 0.0)
        f1 = np.where(of_class + of_guess > 0, 2 * hits / (of_class + of_guess), 0.0)
    averages = [
        average_precision(probabilities[:, label], true[:, label]) if of_class[label] else None
        for label in range(len(class_names))
    ]
    present = of_class > 0
    known = [one for one in averages if one is not None]
    return {
        "n_pictures": len(truth),
        "mean_average_precision": float(np.mean(known)) if known else 0.0,
        "chance_average_precision": float((of_class[present] / len(truth)).mean())
        if known
        else 0.0,
        "micro_f1": float(2 * hits.sum() / max(1, (of_class + of_guess).sum())),
        "macro_f1": float(f1[present].mean()) if known else 0.0,
        "exact_match": float((true == guessed).all(axis=1).mean()),
        "hamming_loss": float((true != guessed).mean()),
        "per_class": {
            name: {
                "average_precision": averages[label],
                "precision": float(precision[label]),
                "recall": float(recall[label]),
                "f1": float(f1[label]),
                "n_pictures": int(of_class[label]),
            }
            for label, name in enumerate(class_names)
        },
    }


def average_precision(scores: Floats, true: NDArray[np.bool_]) -> float:
    """Return the mean precision over the true ones, each at its own score as threshold.

    Args:
        scores: (n,), higher is more likely; equal ones share a threshold.
        true: (n,), at least one.

    Source: sum of (R_n - R_(n-1)) P_n over the thresholds, as in scikit-learn.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    found = np.cumsum(true[order])[last_of_equals]
    gained = np.diff(found, prepend=0)
    return float((gained * found / (last_of_equals + 1)).sum() / true.sum())
