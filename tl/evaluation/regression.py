"""Measures of numbers said of pictures: numpy, no files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def regression_metrics(values: Floats, truth: Floats, training_mean: float) -> dict[str, Any]:
    """Measure regression, in the unit of the values.

    Args:
        values: (n,), as said.
        truth: (n,), as they are.
        training_mean: of the values that were learned from; always to say it is the baseline.

    Returns:
        ``n_pictures``, ``mae`` (mean absolute error), ``rmse`` (root of the mean squared error),
        ``r2`` (share of the variance that is explained; absent where all true values are equal),
        ``mae_of_training_mean`` and ``rmse_of_training_mean``.
    """
    said, true = np.asarray(values, np.float64), np.asarray(truth, np.float64)
    metrics: dict[str, Any] = {"n_pictures": len(true)}
    for name, errors in (("", said - true), ("_of_training_mean", training_mean - true)):
        metrics[f"mae{name}"] = float(np.abs(errors).mean())
        metrics[f"rmse{name}"] = float(np.sqrt(np.square(errors).mean()))
    spread = float(np.square(true - true.mean()).sum())
    if spread > 0:
        metrics["r2"] = 1 - float(np.square(said - true).sum()) / spread
    return metrics
