"""Whether probabilities mean what they say, and the one number that makes them mean it.

Pure numpy. A model that says 0.9 should be right nine times in ten; trained networks say too much.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.score_interval import Figure, sums_by_group
from tl.problem import Problem

Floats = NDArray[np.floating[Any]]
BINS = 15
"""Of equal width, as Guo et al. 2017 have them."""
LEAST, MOST = 0.05, 20.0
"""Temperatures that are looked at; beyond them logits were no logits."""
FEW = 20
"""Pictures below which a temperature would be chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often answers are right that are given with some confidence.

    Attributes:
        edges: (bins + 1,), of the confidences.
        counts: (bins,), answers in each.
        confidence: (bins,), their mean confidence; NaN without answers.
        accuracy: (bins,), share of them that is right; NaN likewise.
    """

    edges: Floats
    counts: Floats
    confidence: Floats
    accuracy: Floats


def reliability(confidence: Floats, right: NDArray[Any]) -> Reliability:
    """Sort answers by their confidence into bins of equal width.

    Args:
        confidence: (n,), from 0 to 1.
        right: (n,), 1 or True where the answer is right.

    Source: DeGroot & Fienberg 1983.
    """
    bins, everyone = _bins(confidence), np.ones((1, len(confidence)))
    (counts,) = sums_by_group(everyone, bins, BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.linspace(0, 1, BINS + 1),
            counts,
            sums_by_group(everyone, bins, BINS, confidence)[0] / counts,
            sums_by_group(everyone, bins, BINS, right)[0] / counts,
        )


def calibration_error(confidence: Floats, right: NDArray[Any]) -> Figure:
    """Return the mean gap between confidence and accuracy of the bins, weighted by their answers.

    Args:
        confidence: (n,), from 0 to 1.
        right: (n,), 1 or True where the answer is right.

    Source: the expected calibration error of Naeini et al. 2015.
    """
    bins = _bins(confidence)
    gap = np.asarray(confidence, np.float64) - right

    def figure(weights: Floats) -> Floats:
        gaps = np.abs(sums_by_group(weights, bins, BINS, gap)).sum(axis=1)
        return np.asarray(gaps / weights.sum(axis=1))

    return figure


def _bins(confidence: Floats) -> NDArray[Any]:
    return np.asarray(np.minimum((np.asarray(confidence, np.float64) * BINS).astype(int), BINS - 1))


def probabilities_of(
    logits: NDArray[Any], problem: Problem, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return what the exported graph makes of logits, (n, n_classes), in double precision."""
    scaled = np.asarray(logits, np.float64) / temperature
    if problem == "multi_label":
        return np.asarray(1 / (1 + np.exp(-scaled)))
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def brier_scores(probabilities: Floats, truth: NDArray[Any]) -> Floats:
    """Return the squared distance of each picture's probabilities from the truth, (n,), 0 to 2.

    Args:
        probabilities: (n, n_classes).
        truth: (n,) class indices.

    Source: Brier 1950, the sum over all classes.
    """
    wanted = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    squares = np.square(probabilities, dtype=np.float64).sum(axis=1)
    return np.asarray(squares - np.square(wanted) + np.square(1 - wanted))


def fit_temperature(logits: Floats, truth: NDArray[Any], problem: Problem) -> float:
    """Return what logits are to be divided by so that the log loss is smallest.

    Accuracy does not change, as the order of the classes does not.

    Args:
        logits: (n, n_classes), of pictures that the network did not learn from.
        truth: (n,) class indices, or (n, n_classes) of 0 and 1.
        problem: ``single_label`` or ``multi_label``.

    Returns:
        1 where fewer than `FEW` pictures, or no wrong answer among them, tell anything: the loss
        would then ask for certainty.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    from scipy.optimize import minimize_scalar  # takes 0.3 s to import

    logits = np.asarray(logits, np.float64)
    if problem == "single_label":
        is_right = logits.argmax(axis=1) == truth

        def loss(log_temperature: float) -> float:
            scaled = logits / np.exp(log_temperature)
            scaled -= scaled.max(axis=1, keepdims=True)
            wanted = scaled[np.arange(len(truth)), truth]
            return float((np.log(np.exp(scaled).sum(axis=1)) - wanted).mean())
    else:
        is_right = (logits > 0) == (truth > 0.5)
        signs = np.where(truth > 0.5, 1.0, -1.0)

        def loss(log_temperature: float) -> float:
            return float(np.logaddexp(0, -signs * logits / np.exp(log_temperature)).mean())

    if len(logits) < FEW or is_right.all():
        return 1.0
    found = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x)) if loss(found.x) < loss(0.0) else 1.0
