"""A head on features, solved to its optimum for a path of penalties.

Receives arrays, gives a solution for every penalty, the strongest first, each found from the one
before: the whole path costs little more than its last point. No step size, no epochs, no seed.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.training.objectives import Floats, Labels, Objective

Layers = tuple[tuple[Floats, Floats], ...]

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
    """A linear head, or one with a hidden layer of ReLUs.

    Attributes:
        penalty: that it was found with.
        layers: kernel (n_inputs, n_outputs) and bias (n_outputs,) of each, float32.
        iterations: of L-BFGS, for this penalty alone.
        evaluations: of the loss and its gradient over all rows, likewise.
    """

    penalty: float
    layers: Layers
    iterations: int
    evaluations: int

    def outputs(self, features: Floats) -> Floats:
        """Return logits, or standardised values, (rows, n_outputs)."""
        return _activations(features, self.layers)[-1]


def solve_path(
    training: Table,
    n_outputs: int,
    penalties: Sequence[float],
    objective: Objective,
    label_smoothing: float = 0.0,
    hidden: int = 0,
    seed: int = 0,
) -> Iterator[Solution]:
    """Minimise the mean loss plus half the penalty times the squared kernels.

    Args:
        training: what to learn from.
        n_outputs: width of the outputs.
        penalties: in the order they are solved; from strong to weak is quickest.
        objective: the loss.
        label_smoothing: share of each label's mass spread over all answers.
        hidden: units of a hidden layer; 0 for a linear head. A linear head has one optimum and is
            found from the one before; with a hidden layer each penalty begins from the same draw,
            because a strong penalty ends at zero, where ReLUs learn nothing more.
        seed: of the hidden layer's first weights.

    Source: L-BFGS (Liu & Nocedal 1989) as in SciPy; a linear probe chosen over a path of
    penalties, Kornblith et al. 2019, appendix A; first weights, He et al. 2015.
    """
    from scipy.optimize import minimize  # takes 0.3 s to import
    from threadpoolctl import ThreadpoolController

    features = np.ascontiguousarray(training.features)
    wanted = objective.wanted(training.labels, label_smoothing)
    mass = (training.weights / training.weights.sum()).astype(np.float32)
    widths = (features.shape[1], *([hidden] if hidden else []), n_outputs)

    def loss_and_gradient(flat: NDArray[np.float64], penalty: float) -> tuple[float, Any]:
        layers = _unpacked(flat, widths)
        seen = _activations(features, layers)
        losses, slopes = objective.losses(seen[-1], wanted)
        slope = mass[:, None] * slopes
        loss, gradients = float(mass @ losses), []
        for inputs, (kernel, _) in zip(seen[-2::-1], layers[::-1], strict=True):
            gradients.append(slope.sum(axis=0))
            gradients.append((inputs.T @ slope + penalty * kernel).ravel())
            loss += 0.5 * penalty * float(np.square(kernel).sum())
            if inputs is not features:
                slope = (slope @ kernel.T) * (inputs > 0)
        return loss, np.concatenate(gradients[::-1]).astype(float)

    # NumPy and SciPy each bring a BLAS whose threads wait by spinning: on two cores they take them
    # from each other, and an evaluation lasts nine times as long as on one thread (measured).
    libraries = ThreadpoolController()
    first = flat = _first_weights(widths, seed)
    for penalty in penalties:
        with libraries.limit(limits=1, user_api="blas"):
            found = minimize(
                loss_and_gradient, first if hidden else flat, args=(penalty,), jac=True,
                method="L-BFGS-B",
                options={"maxiter": MOST_ITERATIONS, "ftol": TOLERANCE, "gtol": 1e-5},
            )  # fmt: skip
        flat = found.x
        yield Solution(penalty, _unpacked(flat, widths), int(found.nit), int(found.nfev))


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


def _activations(features: Floats, layers: Layers) -> list[Floats]:
    """Return the inputs of every layer, and the outputs."""
    seen = [features]
    for number, (kernel, bias) in enumerate(layers, start=1):
        outputs = seen[-1] @ kernel + bias
        seen.append(outputs if number == len(layers) else np.maximum(outputs, 0))
    return seen


def _first_weights(widths: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Return zeros, but for kernels of hidden layers, whose units have to differ."""
    rng = np.random.default_rng(seed)
    parts: list[NDArray[np.float64]] = []
    for inputs, outputs in itertools.pairwise(widths[:-1]):
        parts += [rng.normal(0, np.sqrt(2 / inputs), inputs * outputs), np.zeros(outputs)]
    return np.concatenate([*parts, np.zeros((widths[-2] + 1) * widths[-1])])


def _unpacked(flat: NDArray[np.float64], widths: tuple[int, ...]) -> Layers:
    layers, place = [], 0
    values = flat.astype(np.float32)
    for inputs, outputs in itertools.pairwise(widths):
        bias = place + inputs * outputs
        layers.append((values[place:bias].reshape(inputs, outputs), values[bias : bias + outputs]))
        place = bias + outputs
    return tuple(layers)
