"""Figures of numbers: worked by hand, and agreement with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tl.evaluation.regression import regression_metrics


def test_figures_are_those_worked_by_hand() -> None:
    metrics = regression_metrics(np.array([1.0, 2.0, 6.0]), np.array([1.0, 4.0, 7.0]), 3.0)

    intervals = {key: metrics.pop(key) for key in list(metrics) if key.endswith("_interval")}
    assert set(intervals) == {"mae_interval", "rmse_interval", "r2_interval"}
    for key, (low, high) in intervals.items():
        assert low <= metrics[key.removesuffix("_interval")] <= high
    assert metrics == {
        "n_pictures": 3,
        "mae": pytest.approx(1.0),
        "rmse": pytest.approx(np.sqrt(5 / 3)),
        "mae_of_training_mean": pytest.approx(7 / 3),
        "rmse_of_training_mean": pytest.approx(np.sqrt(21 / 3)),
        "r2": pytest.approx(1 - 5 / 18),
    }


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(1e4, 300, 50).astype(np.float32)
    said = (truth + rng.normal(20, 100, 50)).astype(np.float32)

    metrics = regression_metrics(said, truth, 1e4)

    assert metrics["mae"] == pytest.approx(mean_absolute_error(truth, said))
    assert metrics["rmse"] == pytest.approx(root_mean_squared_error(truth, said), rel=1e-4)
    assert metrics["r2"] == pytest.approx(r2_score(truth, said), rel=1e-4)
    mean = np.full(50, 1e4)
    assert metrics["mae_of_training_mean"] == pytest.approx(mean_absolute_error(truth, mean))


def test_share_of_no_variance_is_left_out() -> None:
    metrics = regression_metrics(np.array([1.0, 2.0]), np.array([5.0, 5.0]), 3.0)

    assert "r2" not in metrics
    assert metrics["mae"] == pytest.approx(3.5)
