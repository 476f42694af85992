"""Measures of independent answers for several classes a picture: numpy, no files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.calibration import calibration_error
from tl.evaluation.one_against_others import average_precision_of, mean_of_known
from tl.evaluation.score_interval import Figure, Groups, mean_figure, with_intervals

THRESHOLD = 0.5
Floats = NDArray[np.floating[Any]]


def multi_label_metrics(
    probabilities: Floats, truth: Floats, class_names: Sequence[str], groups: Groups = None
) -> dict[str, Any]:
    """Measure multi-label classification.

    Args:
        probabilities: (n, n_classes), each class for itself.
        truth: (n, n_classes) of 0 and 1.
        class_names: in label order.
        groups: of pictures that are alike, for the intervals.

    Returns:
        ``n_pictures``, ``mean_average_precision`` (over the classes present) and
        ``chance_average_precision`` (what random scores reach: the mean share of a class);
        at a probability of 0.5 ``micro_f1`` (all answers together), ``macro_f1`` (mean over the
        classes present), ``exact_match`` (share of pictures with every class right) and
        ``hamming_loss`` (share of wrong answers); ``log_loss``, ``brier_score`` (means over all
        answers), ``expected_calibration_error``; ``per_class`` (average_precision, None without
        a picture; precision, recall, f1, n_pictures). Beside each figure but the third, that of
        chance, its 95 % interval, ``<name>_interval: [low, high]``.
    """
    true, guessed = truth > THRESHOLD, probabilities > THRESHOLD
    hits = (true & guessed).sum(axis=0)
    of_class, of_guess = true.sum(axis=0), guessed.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(of_guess > 0, hits / of_guess, 0.0)
        recall = np.where(of_class > 0, hits / of_class, 0.0)
        f1 = np.where(of_class + of_guess > 0, 2 * hits / (of_class + of_guess), 0.0)
    everyone = np.ones((1, len(truth)))
    averages = [
        float(average_precision_of(probabilities[:, label], true[:, label])(everyone)[0])
        if of_class[label]
        else None
        for label in range(len(class_names))
    ]
    share = of_class[of_class > 0] / len(truth)
    return {
        "n_pictures": len(truth),
        **with_intervals(multi_label_figures(probabilities, true), len(truth), groups),
        "chance_average_precision": float(share.mean()) if len(share) else 0.0,
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


def multi_label_figures(probabilities: Floats, true: NDArray[np.bool_]) -> dict[str, Figure]:
    """Return the figures as functions of how often each picture counts."""
    guessed = probabilities > THRESHOLD
    hits, either = (true & guessed).astype(float), true.astype(float) + guessed
    chosen = np.where(true, probabilities, 1 - probabilities.astype(np.float64))
    averages = [
        average_precision_of(probabilities[:, label], true[:, label])
        for label in np.flatnonzero(true.any(axis=0))
    ]
    n_classes = true.shape[1]
    of_answers = calibration_error(probabilities.ravel(), true.ravel())

    def macro_f1(weights: Any) -> Any:
        present = weights @ true > 0
        f1 = 2 * (weights @ hits) / np.maximum(weights @ either, 1)
        return (f1 * present).sum(axis=1) / np.maximum(1, present.sum(axis=1))

    def micro_f1(weights: Any) -> Any:
        together = np.maximum(1.0, weights @ either.sum(axis=1))
        return 2 * (weights @ hits.sum(axis=1)) / together

    return {
        "mean_average_precision": mean_of_known(averages),
        "micro_f1": micro_f1,
        "macro_f1": macro_f1,
        "exact_match": mean_figure((true == guessed).all(axis=1)),
        "hamming_loss": mean_figure((true != guessed).mean(axis=1)),
        "log_loss": mean_figure(-np.log(np.clip(chosen, 1e-15, 1.0)).mean(axis=1)),
        "brier_score": mean_figure(np.square(1 - chosen).mean(axis=1)),
        "expected_calibration_error": lambda weights: of_answers(
            np.repeat(weights, n_classes, axis=1)
        ),
    }
