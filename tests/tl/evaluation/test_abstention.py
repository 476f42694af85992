"""Thresholds that keep to an error rate, and what is left of the answers."""

import numpy as np
import pytest

from tl.evaluation.abstention import choose_threshold, coverage_curve, kept_at

CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
RIGHT = np.array([True, True, True, False, True])


def test_threshold_is_the_lowest_that_keeps_to_the_rate() -> None:
    # One error more than seen: 1/2, 1/3, 1/4, 2/5, 2/6 of the answers down to each picture.
    assert choose_threshold(CONFIDENCE, RIGHT, 0.26) == 0.7
    assert choose_threshold(CONFIDENCE, RIGHT, 0.35) == 0.0  # all may be answered
    assert choose_threshold(CONFIDENCE, RIGHT, 0.2) is None
    assert choose_threshold(np.empty(0), np.empty(0, bool), 0.2) is None


def test_equal_confidences_are_answered_together() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9])
    right = np.array([True, True, True, False])
    # At 0.9 there is one error in four; that the first three are right is the order of the rows.
    assert choose_threshold(confidence, right, 0.3) is None
    assert choose_threshold(confidence, right, 0.4) == 0.0


def test_rate_is_kept_on_pictures_that_did_not_choose() -> None:
    """Over many draws the mean error rate of the answers stays below what was asked."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(300):
        confidence = rng.random(400)
        right = rng.random(400) < 0.5 + confidence / 2
        threshold = choose_threshold(confidence[:200], right[:200], 0.1)
        if threshold is not None:
            rate = kept_at(confidence[200:], right[200:], threshold).error_rate
            rates.append(0.0 if rate is None else rate)
    assert len(rates) > 200
    assert np.mean(rates) < 0.115


def test_what_is_kept_is_counted() -> None:
    kept = kept_at(CONFIDENCE, RIGHT, 0.6)
    assert (kept.n_answered, kept.coverage, kept.error_rate) == (4, 0.8, 0.25)
    nothing = kept_at(CONFIDENCE, RIGHT, 0.95)
    assert (nothing.n_answered, nothing.coverage, nothing.error_rate) == (0, 0.0, None)


def test_curve_goes_from_the_surest_picture_to_all() -> None:
    curve = coverage_curve(CONFIDENCE, RIGHT)
    assert curve[0] == [0.2, 1.0]
    assert curve[-1] == [1.0, pytest.approx(0.8)]
    assert (
        len(coverage_curve(np.random.default_rng(0).random(10_000), np.ones(10_000, bool))) <= 100
    )
