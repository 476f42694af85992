"""Measures of a classifier from its probabilities and the true labels: numpy, no files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.calibration import brier_scores, calibration_error
from tl.evaluation.one_against_others import average_precision_of, mean_of_known, roc_auc_of
from tl.evaluation.score_interval import (
    Figure,
    Groups,
    mean_figure,
    sums_by_group,
    with_intervals,
)

TOP_K = 5
MOST_SAMPLED = 100_000
"""Scores, pictures times classes, whose ranks are looked at in every sample."""
_LEAST = 1e-15


def classification_metrics(
    probabilities: NDArray[np.float32],
    labels: Sequence[int],
    class_names: Sequence[str],
    groups: Groups = None,
) -> dict[str, Any]:
    """Measure single-label classification.

    Args:
        probabilities: (n, n_classes).
        labels: (n,) true class indices.
        class_names: in label order.
        groups: of pictures that are alike, for the intervals.

    Returns:
        ``n_pictures``, ``top_1_accuracy``, ``top_5_accuracy`` (only with more than 5 classes),
        ``log_loss`` (natural), ``brier_score`` (summed over the classes),
        ``expected_calibration_error``; ``macro_`` and ``weighted_`` ``precision``, ``recall`` and
        ``f1`` (means over the classes present, alike or by their pictures), ``roc_auc`` and
        ``average_precision`` (each class against all others, mean; absent where only one class is
        present); ``per_class`` (precision, recall, f1, n_pictures) and ``confusion`` (rows true,
        columns predicted). Beside each of the figures of `headline_figures`, and beside the last
        two where there are at most 100,000 scores, its 95 % interval, ``<name>_interval: [low,
        high]``.
    """
    truth = np.asarray(labels)
    n_classes = len(class_names)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (truth, predicted), 1)
    precision, recall, f1 = _by_class(
        confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    )
    of_class = confusion.sum(axis=1)
    present = of_class > 0
    metrics: dict[str, Any] = {"n_pictures": len(truth)}
    metrics |= with_intervals(headline_figures(probabilities, truth), len(truth), groups)
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        metrics.setdefault(f"macro_{name}", float(values[present].mean()))
        metrics[f"weighted_{name}"] = float(np.average(values, weights=of_class))
    metrics |= _against_all_others(probabilities, truth, present, groups)
    metrics["per_class"] = {
        name: {
            "precision": float(precision[index]),
            "recall": float(recall[index]),
            "f1": float(f1[index]),
            "n_pictures": int(of_class[index]),
        }
        for index, name in enumerate(class_names)
    }
    metrics["confusion"] = confusion.tolist()
    return metrics


def headline_figures(probabilities: NDArray[Any], truth: NDArray[Any]) -> dict[str, Figure]:
    """Return the figures that get an interval, as functions of how often each picture counts."""
    rows = np.arange(len(truth))
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    right = (predicted == truth).astype(np.float64)
    chosen = probabilities[rows, truth].astype(np.float64)

    def macro_f1(weights: Any) -> Any:
        hits = sums_by_group(weights, truth, n_classes, right)
        of_class = sums_by_group(weights, truth, n_classes)
        f1 = _by_class(hits, of_class, sums_by_group(weights, predicted, n_classes))[2]
        return (f1 * (of_class > 0)).sum(axis=1) / (of_class > 0).sum(axis=1)

    figures: dict[str, Figure] = {"top_1_accuracy": mean_figure(right)}
    if n_classes > TOP_K:
        # The rank of the true class: how many have a strictly higher probability.
        rank = (probabilities > probabilities[rows, truth][:, None]).sum(axis=1)
        figures["top_5_accuracy"] = mean_figure(rank < TOP_K)
    return figures | {
        "macro_f1": macro_f1,
        "log_loss": mean_figure(-np.log(np.clip(chosen, _LEAST, 1.0))),
        "brier_score": mean_figure(brier_scores(probabilities, truth)),
        "expected_calibration_error": calibration_error(probabilities.max(axis=1), right),
    }


def _by_class(hits: Any, of_class: Any, of_guess: Any) -> tuple[Any, Any, Any]:
    """Return precision, recall and F1 of each class, 0 where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(of_guess > 0, hits / of_guess, 0.0)
        recall = np.where(of_class > 0, hits / of_class, 0.0)
        f1 = np.where(of_class + of_guess > 0, 2 * hits / (of_class + of_guess), 0.0)
    return precision, recall, f1


def _against_all_others(
    probabilities: NDArray[Any], truth: NDArray[Any], present: NDArray[np.bool_], groups: Groups
) -> dict[str, Any]:
    """Return the means over the classes, with intervals where the samples take about a second."""
    if present.sum() < 2:
        return {}
    pairs = [(probabilities[:, label], truth == label) for label in np.flatnonzero(present)]
    figures: dict[str, Figure] = {
        "roc_auc": mean_of_known([roc_auc_of(*pair) for pair in pairs]),
        "average_precision": mean_of_known([average_precision_of(*pair) for pair in pairs]),
    }
    if len(truth) * len(pairs) <= MOST_SAMPLED:
        return with_intervals(figures, len(truth), groups)
    everyone = np.ones((1, len(truth)))
    return {name: float(figure(everyone)[0]) for name, figure in figures.items()}
