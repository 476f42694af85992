"""When to say nothing: the score below which a model had better leave a picture to a person.

Pure numpy. Receives confidences and whether the answers are right, gives a threshold, and what
comes of any threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is answered at a threshold.

    Attributes:
        coverage: share of the pictures that are answered.
        error_rate: share of wrong ones among the answers; None where nothing is answered.
        n_answered: pictures.
    """

    coverage: float
    error_rate: float | None
    n_answered: int


def choose_threshold(confidence: Floats, right: Right, error_rate: float) -> float | None:
    """Return the lowest confidence at which the answers keep to an error rate.

    One wrong answer more than were seen is counted: the answers are a sample, and a threshold
    that three right answers chose keeps nothing (as in conformal risk control, Angelopoulos et
    al. 2022).

    Args:
        confidence: (n,), of pictures that the model did not learn from.
        right: (n,), whether the most likely class is the true one.
        error_rate: share of wrong answers among those given, above 0 and below 1.

    Returns:
        Confidences at or above it are answered; 0 where all may be. None where no threshold keeps
        to the rate.
    """
    if not len(confidence):
        return None
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    wrong = np.cumsum(~right[order])
    answered = np.arange(1, len(order) + 1)
    sound = (wrong + 1) / (answered + 1) <= error_rate
    # Of equal confidences all are answered, or none.
    sound &= np.append(sorted_confidence[1:] != sorted_confidence[:-1], True)
    places = np.flatnonzero(sound)
    if not len(places):
        return None
    last = int(places[-1])
    return 0.0 if last == len(order) - 1 else float(sorted_confidence[last])


def kept_at(confidence: Floats, right: Right, threshold: float) -> Kept:
    """Return what is answered at a threshold."""
    answered = confidence >= threshold
    count = int(answered.sum())
    rate = float((~right[answered]).mean()) if count else None
    return Kept(count / max(1, len(confidence)), rate, count)


def coverage_curve(confidence: Floats, right: Right, points: int = 100) -> list[list[float]]:
    """Return pairs of coverage and accuracy of the answers, from few pictures to all.

    Source: El-Yaniv & Wiener 2010, the risk-coverage curve.
    """
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    places = np.unique(np.linspace(0, len(order) - 1, min(points, len(order))).astype(int))
    return [[float((place + 1) / len(order)), float(accuracy[place])] for place in places]
