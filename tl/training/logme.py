"""How much features know of labels, without training: the evidence of a Bayesian linear model.

Receives arrays, gives one number; the higher, the better a head on these features will do. One
singular value decomposition for all classes, so it costs less than any probe that is solved.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ITERATIONS = 100
TOLERANCE = 1e-4


def logme(features: NDArray[Any], targets: NDArray[Any]) -> float:
    """Return the mean, over targets and pictures, of the maximal log evidence.

    For each target y the weights of a linear model are Gaussian with precision alpha and its noise
    with precision beta; both are chosen to maximise log p(y | features) by fixed-point iteration.

    Args:
        features: (rows, n_features), of the frozen backbone.
        targets: (rows, n_targets), one-hot labels or values.

    Sources: You et al. 2021 (LogME), algorithm 3 of You et al. 2022 (its decomposed form);
    MacKay 1992 (the fixed point).
    """
    x = np.asarray(features, np.float64)
    y = np.asarray(targets, np.float64)
    rows, width = x.shape
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    squares = np.square(singular)  # of the directions that the rows span
    evidence = [_evidence(left.T @ one, float(one @ one), squares, rows, width) for one in y.T]
    return float(np.mean(evidence) / rows)


def _evidence(
    projected: NDArray[np.float64],
    energy: float,
    squares: NDArray[np.float64],
    rows: int,
    width: int,
) -> float:
    """Return the maximal log evidence of one target.

    Args:
        projected: (rank,), the target in the directions of the features.
        energy: its squared length; what lies in no direction is noise.
        squares: (rank,), squared singular values.
        rows: number of pictures.
        width: number of features.
    """
    alpha = beta = 1.0
    outside = max(0.0, energy - float(projected @ projected))

    def moments() -> tuple[float, float, float]:
        """Return effective directions, squared weights and squared residual of the posterior."""
        # m = beta (alpha + beta F^T F)^-1 F^T y, in the directions of the decomposition.
        shrunk = beta * squares / (alpha + beta * squares)
        mean = beta * np.sqrt(squares) * projected / (alpha + beta * squares)
        residual = outside + float(np.square((1 - shrunk) * projected).sum())
        return float(shrunk.sum()), float(np.square(mean).sum()), residual

    for _ in range(MOST_ITERATIONS):
        effective, weights, residual = moments()
        # Bounded: features without a word, or with the last one, have no optimum.
        new_alpha = float(np.clip(effective / max(weights, 1e-12), 1e-8, 1e8))
        new_beta = float(np.clip((rows - effective) / max(residual, 1e-12), 1e-8, 1e8))
        change = abs(new_alpha / new_beta - alpha / beta) / (alpha / beta)
        alpha, beta = new_alpha, new_beta
        if change < TOLERANCE:
            break
    _, weights, residual = moments()
    log_det = float(np.log(alpha + beta * squares).sum()) + (width - len(squares)) * np.log(alpha)
    return 0.5 * float(
        width * np.log(alpha)
        + rows * np.log(beta)
        - log_det
        - beta * residual
        - alpha * weights
        - rows * np.log(2 * np.pi)
    )
