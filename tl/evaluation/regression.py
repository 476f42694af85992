"""Measures of numbers said of pictures: numpy, no files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.score_interval import Figure, Groups, mean_figure, with_intervals

Floats = NDArray[np.floating[Any]]


def regression_metrics(
    values: Floats, truth: Floats, training_mean: float, groups: Groups = None
) -> dict[str, Any]:
    """Measure regression, in the unit of the values.

    Args:
        values: (n,), as said.
        truth: (n,), as they are.
        training_mean: of the values that were learned from; always to say it is the baseline.
        groups: of pictures that are alike, for the intervals.

    Returns:
        ``n_pictures``, ``mae`` (mean absolute error), ``rmse`` (root of the mean squared error),
        ``r2`` (share of the variance that is explained; absent where all true values are equal),
        each with its 95 % interval as ``<name>_interval``, ``mae_of_training_mean`` and
        ``rmse_of_training_mean``.
    """
    said, true = np.asarray(values, np.float64), np.asarray(truth, np.float64)
    errors, base = said - true, training_mean - true
    metrics: dict[str, Any] = {"n_pictures": len(true)}
    metrics |= with_intervals(regression_figures(errors, true), len(true), groups)
    metrics["mae_of_training_mean"] = float(np.abs(base).mean())
    metrics["rmse_of_training_mean"] = float(np.sqrt(np.square(base).mean()))
    return metrics


def regression_figures(errors: Floats, true: Floats) -> dict[str, Figure]:
    """Return the figures as functions of how often each picture counts."""
    squares = np.square(errors)

    def r2(weights: Floats) -> Any:
        means = weights @ true / weights.sum(axis=1)
        spread = weights @ np.square(true) - weights.sum(axis=1) * np.square(means)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 1e-12, 1 - weights @ squares / spread, np.nan)

    figures: dict[str, Figure] = {
        "mae": mean_figure(np.abs(errors)),
        "rmse": lambda weights: np.sqrt(mean_figure(squares)(weights)),
    }
    return figures | ({"r2": r2} if np.ptp(true) > 0 else {})
