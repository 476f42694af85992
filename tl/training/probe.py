"""A linear classifier on features, solved to its optimum for a path of penalties.

Receives arrays, gives a solution for every penalty, the strongest first, each found from the one
before: the whole path costs little more than its last point. No step size, no epochs, no seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MOST_ITERATIONS = 200
TOLERANCE = 1e-6
"""Relative gain of an iteration below which a solution is good enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Features of pictures with their labels.

    Attributes:
        features: float32 (rows, n_features), of mean 0 and variance 1 in training.
        labels: int32 (rows,).
        weights: float32 (rows,), of each row in the loss.
    """

    features: Floats
    labels: NDArray[np.int32]
    weights: Floats

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A linear classifier.

    Attributes:
        penalty: that it was found with.
        kernel: float32 (n_features, n_classes).
        bias: float32 (n_classes,).
        iterations: of L-BFGS, for this penalty alone.
        evaluations: of the loss and its gradient over all rows, likewise.
    """

    penalty: float
    kernel: Floats
    bias: Floats
    iterations: int
    evaluations: int

    def logits(self, features: Floats) -> Floats:
        """Return (rows, n_classes)."""
        return features @ self.kernel + self.bias


def solve_path(
    training: Table, n_classes: int, penalties: Sequence[float], label_smoothing: float = 0.0
) -> Iterator[Solution]:
    """Minimise the mean cross-entropy plus half the penalty times the squared kernel.

    Args:
        training: what to learn from.
        n_classes: width of the logits.
        penalties: in the order they are solved; from strong to weak is quickest.
        label_smoothing: share of each label's mass spread over all classes.

    Source: L-BFGS (Liu & Nocedal 1989) as in SciPy; a linear probe chosen over a path of
    penalties, Kornblith et al. 2019, appendix A.
    """
    from scipy.optimize import minimize  # takes 0.3 s to import
    from threadpoolctl import ThreadpoolController

    features = np.ascontiguousarray(training.features)
    shares = _shares(training.labels, n_classes, label_smoothing)
    mass = (training.weights / training.weights.sum())[:, None].astype(np.float32)

    def loss_and_gradient(flat: NDArray[np.float64], penalty: float) -> tuple[float, Any]:
        kernel, bias = _unpacked(flat, n_classes)
        log_shares = _log_softmax(features @ kernel + bias)
        loss = -float(np.sum(mass * shares * log_shares, dtype=np.float64))
        # The shares of a row sum to 1, so this is its gradient.
        slope = mass * (np.exp(log_shares) - shares)
        of_kernel = features.T @ slope + penalty * kernel
        gradient = np.vstack([of_kernel, slope.sum(axis=0)])
        return loss + 0.5 * penalty * float(np.square(kernel).sum()), gradient.ravel().astype(float)

    # NumPy and SciPy each bring a BLAS whose threads wait by spinning: on two cores they take them
    # from each other, and an evaluation lasts nine times as long as on one thread (measured).
    libraries = ThreadpoolController()
    flat = np.zeros((features.shape[1] + 1) * n_classes)
    for penalty in penalties:
        with libraries.limit(limits=1, user_api="blas"):
            found = minimize(
                loss_and_gradient, flat, args=(penalty,), jac=True, method="L-BFGS-B",
                options={"maxiter": MOST_ITERATIONS, "ftol": TOLERANCE, "gtol": 1e-5},
            )  # fmt: skip
        flat = found.x
        kernel, bias = _unpacked(flat, n_classes)
        yield Solution(penalty, kernel, bias, int(found.nit), int(found.nfev))


def measure(
    logits: Floats, labels: NDArray[np.int32], weights: Floats, label_smoothing: float = 0.0
) -> tuple[float, float]:
    """Return (loss, accuracy) as Keras measures them: weighted losses by the number of rows."""
    shares = _shares(labels, logits.shape[1], label_smoothing)
    losses = -(shares * _log_softmax(logits)).sum(axis=1, dtype=np.float64)
    hits = logits.argmax(axis=1) == labels
    return float((weights * losses).mean()), float(np.average(hits, weights=weights))


def _shares(labels: NDArray[np.int32], n_classes: int, label_smoothing: float) -> Floats:
    shares = np.full((len(labels), n_classes), label_smoothing / n_classes, np.float32)
    shares[np.arange(len(labels)), labels] += 1 - label_smoothing
    return shares


def _log_softmax(logits: Floats) -> Floats:
    logits = logits - logits.max(axis=1, keepdims=True)
    result: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def _unpacked(flat: NDArray[np.float64], n_classes: int) -> tuple[Floats, Floats]:
    both = flat.reshape(-1, n_classes).astype(np.float32)
    return both[:-1], both[-1]
