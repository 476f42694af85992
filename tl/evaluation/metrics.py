"""Measures of a classifier from its probabilities and the true labels: numpy, no files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP_K = 5


def classification_metrics(
    probabilities: NDArray[np.float32], labels: Sequence[int], class_names: Sequence[str]
) -> dict[str, Any]:
    """Measure single-label classification.

    Args:
        probabilities: (n, n_classes).
        labels: (n,) true class indices.
        class_names: in label order.

    Returns:
        ``n_pictures``, ``top_1_accuracy``, ``top_5_accuracy`` (only with more than 5 classes),
        ``macro_f1`` (mean over the classes present), ``log_loss`` (natural), ``per_class``
        (precision, recall, f1, n_pictures) and ``confusion`` (rows true, columns predicted).
    """
    truth = np.asarray(labels)
    n_classes = len(class_names)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (truth, predicted), 1)
    hits = confusion.diagonal()
    of_class, of_guess = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(of_guess > 0, hits / of_guess, 0.0)
        recall = np.where(of_class > 0, hits / of_class, 0.0)
        f1 = np.where(of_class + of_guess > 0, 2 * hits / (of_class + of_guess), 0.0)
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    metrics: dict[str, Any] = {
        "n_pictures": len(truth),
        "top_1_accuracy": float((predicted == truth).mean()),
        "macro_f1": float(f1[of_class > 0].mean()),
        "log_loss": float(-np.log(np.clip(chosen, 1e-15, 1.0)).mean()),
    }
    if n_classes > TOP_K:
        # The rank of the true class: how many have a strictly higher probability.
        rank = (probabilities > probabilities[np.arange(len(truth)), truth][:, None]).sum(axis=1)
        metrics["top_5_accuracy"] = float((rank < TOP_K).mean())
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
