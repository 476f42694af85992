"""Reliability and Brier scores worked by hand; temperatures are found that were put in."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from tl.evaluation.calibration import (
    BINS,
    brier_scores,
    calibration_error,
    fit_temperature,
    reliability,
)


def one(values: np.ndarray) -> np.ndarray:
    return np.ones((1, len(values)))


def test_bins_are_those_worked_by_hand() -> None:
    confidence = np.array([0.95, 0.97, 0.5, 0.51, 1.0])
    right = np.array([1, 0, 1, 0, 1])

    bins = reliability(confidence, right)

    full = np.flatnonzero(bins.counts)
    assert full.tolist() == [7, 14]  # 0.467 to 0.533, and 0.933 to 1 with both ends
    assert bins.counts[full].tolist() == [2, 3]
    assert bins.accuracy[full] == pytest.approx([0.5, 2 / 3])
    assert bins.confidence[full] == pytest.approx([0.505, 0.97333333])
    expected = (2 * 0.005 + 3 * (0.97333333 - 2 / 3)) / 5
    assert calibration_error(confidence, right)(one(right))[0] == pytest.approx(expected)


def test_perfectly_calibrated_answers_have_no_error() -> None:
    confidence = np.repeat((np.arange(BINS) + 0.5) / BINS, 3000)
    right = np.concatenate(
        [np.arange(3000) < round(3000 * value) for value in (np.arange(BINS) + 0.5) / BINS]
    )
    assert calibration_error(confidence, right)(one(right))[0] == pytest.approx(0, abs=1e-9)


def test_brier_score_of_two_classes_is_twice_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probability, truth = rng.random(40), rng.integers(0, 2, 40)
    both = np.stack([1 - probability, probability], axis=1)

    # scikit-learn looks at one of the two classes; Brier 1950 sums over both.
    assert brier_scores(both, truth).mean() == pytest.approx(
        2 * brier_score_loss(truth, probability, scale_by_half=True)
    )


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_that_was_put_in_is_found(temperature: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (20_000, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random((len(logits), 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 3)

    found = fit_temperature(logits * temperature, truth, "single_label")

    assert found == pytest.approx(temperature, rel=0.05)


def test_temperature_of_several_labels_is_found() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (8_000, 3))
    truth = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)

    assert fit_temperature(2.5 * logits, truth, "multi_label") == pytest.approx(2.5, rel=0.05)


def test_too_few_or_faultless_answers_leave_the_probabilities_alone() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (19, 3))
    assert fit_temperature(logits, rng.integers(0, 3, 19), "single_label") == 1.0
    many = rng.normal(0, 2, (100, 3))
    # All right: the loss would be smallest at absolute certainty.
    assert fit_temperature(many, many.argmax(axis=1), "single_label") == 1.0


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]] * 20, np.float32)
    truth = np.array([0, 0] * 20)
    with np.errstate(over="raise", invalid="raise"):
        assert fit_temperature(logits, truth, "single_label") == pytest.approx(20, rel=0.01)


def test_interval_of_the_error_is_not_above_it() -> None:
    """Samples repeat pictures, and look worse calibrated than they are."""
    from tl.evaluation.metrics import classification_metrics

    for seed in range(20):
        rng = np.random.default_rng(seed)
        top = rng.uniform(0.5, 1.0, 110)
        right = rng.random(110) < top
        answers = np.stack([top, 1 - top], axis=1).astype(np.float32)
        metrics = classification_metrics(answers, np.where(right, 0, 1).tolist(), ("a", "b"))
        low, high = metrics["expected_calibration_error_interval"]
        assert 0 <= low <= metrics["expected_calibration_error"] <= high, seed
