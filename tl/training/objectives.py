"""What a linear head minimises, and the figure it is shown with, for every problem. Pure numpy.

The same losses and figures as `tl.training.losses` gives Keras, so that the head's validation loss
is what fine-tuning has to beat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.problem import Problem, Unit

Floats = NDArray[np.float32]
Labels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss of outputs (rows, n_outputs) and a figure for people.

    Attributes:
        wanted: of labels and the label smoothing: what the outputs are compared with, float32
            (rows, n_outputs).
        losses: of outputs and what is wanted: the loss of every row, float64 (rows,), and its
            gradient by the outputs, float32 (rows, n_outputs).
        score_name: of the figure, as Keras is told it.
        score: of outputs, labels and weights: the figure.
        n_outputs: width of the outputs.
        bend: largest curvature of a row's loss by an output; a penalty weighs against it.
    """

    wanted: Callable[[Labels, float], Floats]
    losses: Callable[[Floats, Floats], tuple[NDArray[np.float64], Floats]]
    score_name: str
    score: Callable[[Floats, Labels, Floats], float]
    n_outputs: int
    bend: float


def objective_of(problem: Problem, n_outputs: int, unit: Unit) -> Objective:
    """Return what a head of a problem minimises.

    Args:
        problem: what is learned.
        n_outputs: width of the outputs.
        unit: of the values, in which outputs are standardised; classes have none.
    """
    return _OBJECTIVES[problem](n_outputs, unit)


def _softmax(n_outputs: int, unit: Unit) -> Objective:
    """Cross-entropy of one class; label smoothing spreads its mass over all (Szegedy 2016)."""

    def wanted(labels: Labels, smoothing: float) -> Floats:
        shares = np.full((len(labels), n_outputs), smoothing / n_outputs, np.float32)
        shares[np.arange(len(labels)), labels] += 1 - smoothing
        return shares

    def losses(outputs: Floats, shares: Floats) -> tuple[NDArray[np.float64], Floats]:
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        # The shares of a row sum to 1, so this is its gradient.
        return -(shares * log_shares).sum(axis=1, dtype=np.float64), np.exp(log_shares) - shares

    def accuracy(outputs: Floats, labels: Labels, weights: Floats) -> float:
        return float(np.average(outputs.argmax(axis=1) == labels, weights=weights))

    return Objective(wanted, losses, "accuracy", accuracy, n_outputs, bend=0.25)


def _sigmoid(n_outputs: int, unit: Unit) -> Objective:
    """Mean over the classes of each one's cross-entropy; label smoothing draws towards 0.5.

    The mean, so that the loss of not knowing is log(2) however many classes there are.
    """

    def wanted(labels: Labels, smoothing: float) -> Floats:
        return np.asarray(labels * (1 - smoothing) + smoothing / 2, np.float32)

    def losses(outputs: Floats, hits: Floats) -> tuple[NDArray[np.float64], Floats]:
        of_class = np.logaddexp(0, outputs) - hits * outputs
        slopes = (0.5 * (1 + np.tanh(0.5 * outputs)) - hits) / n_outputs
        return of_class.mean(axis=1, dtype=np.float64), slopes

    def micro_f1(outputs: Floats, labels: Labels, weights: Floats) -> float:
        guessed, true = outputs > 0, labels > 0.5
        both, either = (guessed & true).sum(axis=1), guessed.sum(axis=1) + true.sum(axis=1)
        return float(2 * (weights @ both) / max(1e-12, float(weights @ either)))

    return Objective(wanted, losses, "micro_f1", micro_f1, n_outputs, bend=0.25 / n_outputs)


def _squares(n_outputs: int, unit: Unit) -> Objective:
    """Squared error of standardised values; shown is the mean absolute error of the values."""

    def wanted(labels: Labels, smoothing: float) -> Floats:
        return np.asarray((labels - unit.mean) / unit.deviation, np.float32)

    def losses(outputs: Floats, values: Floats) -> tuple[NDArray[np.float64], Floats]:
        errors = outputs - values
        return np.square(errors).sum(axis=1, dtype=np.float64), 2 * errors

    def mean_error(outputs: Floats, labels: Labels, weights: Floats) -> float:
        errors = np.abs(outputs * unit.deviation + unit.mean - labels)[:, 0]
        return float(np.average(errors, weights=weights))

    return Objective(wanted, losses, "mae", mean_error, n_outputs, bend=2.0)


_OBJECTIVES: Mapping[Problem, Callable[[int, Unit], Objective]] = {
    "single_label": _softmax,
    "multi_label": _sigmoid,
    "regression": _squares,
}


def score_name(problem: Problem) -> str:
    """Return what the figure of a problem is called."""
    return objective_of(problem, 2, Unit()).score_name
