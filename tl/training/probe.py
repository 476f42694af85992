"""A linear head on features, solved to its optimum for a path of penalties.

Receives arrays, gives a solution for every penalty, the strongest first, each found from the one
before: the whole path costs little more than its last point. No step size, no epochs, no seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.training.objectives import Floats, Labels, Objective

MOST_ITERATIONS = 200
TOLERANCE = 1e-6
"""Relative gain of an iteration below which a solution is good enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Features of pictures with their labels.

    Attributes:
        features: float32 (rows, n_features), of mean 0 and variance 1 in training.
        labels: int32 (rows,) of classes, float32 (rows, width) of several classes or values.
        weights: float32 (rows,), of each row in the loss.
    """

    features: Floats
    labels: Labels
    weights: Floats

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A linear head.

    Attributes:
        penalty: that it was found with.
        kernel: float32 (n_features, n_outputs).
        bias: float32 (n_outputs,).
        iterations: of L-BFGS, for this penalty alone.
        evaluations: of the loss and its gradient over all rows, likewise.
    """

    penalty: float
    kernel: Floats
    bias: Floats
    iterations: int
    evaluations: int

    def outputs(self, features: Floats) -> Floats:
        """Return logits, or standardised values, (rows, n_outputs)."""
        return features @ self.kernel + self.bias


def solve_path(
    training: Table,
    n_outputs: int,
    penalties: Sequence[float],
    objective: Objective,
    label_smoothing: float = 0.0,
) -> Iterator[Solution]:
    """Minimise the mean loss plus half the penalty times the squared kernel.

    Args:
        training: what to learn from.
        n_outputs: width of the outputs.
        penalties: in the order they are solved; from strong to weak is quickest.
        objective: the loss.
        label_smoothing: share of each label's mass spread over all answers.

    Source: L-BFGS (Liu & Nocedal 1989) as in SciPy; a linear probe chosen over a path of
    penalties, Kornblith et al. 2019, appendix A.
    """
    from scipy.optimize import minimize  # takes 0.3 s to import
    from threadpoolctl import ThreadpoolController

    features = np.ascontiguousarray(training.features)
    wanted = objective.wanted(training.labels, label_smoothing)
    mass = (training.weights / training.weights.sum()).astype(np.float32)

    def loss_and_gradient(flat: NDArray[np.float64], penalty: float) -> tuple[float, Any]:
        kernel, bias = _unpacked(flat, n_outputs)
        losses, slopes = objective.losses(features @ kernel + bias, wanted)
        loss, slope = float(mass @ losses), mass[:, None] * slopes
        of_kernel = features.T @ slope + penalty * kernel
        gradient = np.vstack([of_kernel, slope.sum(axis=0)])
        return loss + 0.5 * penalty * float(np.square(kernel).sum()), gradient.ravel().astype(float)

    # NumPy and SciPy each bring a BLAS whose threads wait by spinning: on two cores they take them
    # from each other, and an evaluation lasts nine times as long as on one thread (measured).
    libraries = ThreadpoolController()
    flat = np.zeros((features.shape[1] + 1) * n_outputs)
    for penalty in penalties:
        with libraries.limit(limits=1, user_api="blas"):
            found = minimize(
                loss_and_gradient, flat, args=(penalty,), jac=True, method="L-BFGS-B",
                options={"maxiter": MOST_ITERATIONS, "ftol": TOLERANCE, "gtol": 1e-5},
            )  # fmt: skip
        flat = found.x
        kernel, bias = _unpacked(flat, n_outputs)
        yield Solution(penalty, kernel, bias, int(found.nit), int(found.nfev))


def measure(
    outputs: Floats,
    labels: Labels,
    weights: Floats,
    objective: Objective,
    label_smoothing: float = 0.0,
) -> tuple[float, float]:
    """Return (loss, score) as Keras measures them: weighted losses by the number of rows."""
    wanted = objective.wanted(labels, label_smoothing)
    losses, _ = objective.losses(outputs, wanted)
    return float((weights * losses).mean()), objective.score(outputs, labels, weights)


def _unpacked(flat: NDArray[np.float64], n_outputs: int) -> tuple[Floats, Floats]:
    both = flat.reshape(-1, n_outputs).astype(np.float32)
    return both[:-1], both[-1]
