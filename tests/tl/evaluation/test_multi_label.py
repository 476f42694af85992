"""Figures of several classes a picture: worked by hand, and agreement with scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    hamming_loss,
    precision_recall_fscore_support,
)

from tl.evaluation.multi_label import multi_label_metrics
from tl.evaluation.one_against_others import average_precision_of

NAMES = ("ash", "elm", "oak")
PROBABILITIES = np.array([[0.9, 0.6, 0.1], [0.8, 0.2, 0.1], [0.3, 0.7, 0.4], [0.1, 0.1, 0.2]])
TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0]], np.float32)


def test_figures_are_those_worked_by_hand() -> None:
    metrics = multi_label_metrics(PROBABILITIES, TRUTH, NAMES)

    assert metrics["n_pictures"] == 4
    # ash: found at ranks 1, 2 and 4 of 4; elm: at ranks 1 and 3; no oak, which does not count.
    ash, elm = (1 + 1 + 3 / 4) / 3, (1 + 2 / 3) / 2
    assert metrics["per_class"]["ash"]["average_precision"] == pytest.approx(ash)
    assert metrics["per_class"]["elm"]["average_precision"] == pytest.approx(elm)
    assert metrics["per_class"]["oak"]["average_precision"] is None
    assert metrics["mean_average_precision"] == pytest.approx((ash + elm) / 2)
    assert metrics["chance_average_precision"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    # Said above 0.5: ash twice, both right; elm twice, one right. True: 3 ash, 2 elm.
    assert metrics["micro_f1"] == pytest.approx(2 * 3 / (4 + 5))
    assert metrics["macro_f1"] == pytest.approx((2 * 2 / 5 + 2 * 1 / 4) / 2)
    assert metrics["exact_match"] == pytest.approx(1 / 4)
    assert metrics["hamming_loss"] == pytest.approx(3 / 12)


def test_equal_scores_share_a_threshold() -> None:
    true = np.array([True, False, False, True])

    everyone = np.ones((1, 4))
    assert average_precision_of(np.full(4, 0.5), true)(everyone) == pytest.approx(0.5)
    assert average_precision_of(-np.arange(4.0), true)(everyone) == pytest.approx((1 + 2 / 4) / 2)


@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(2, 6), st.integers(1, 6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_figures_are_those_of_scikit_learn(seed: int, n: int, n_classes: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    # Few different scores, so that many are equal.
    probabilities = rng.integers(0, 10**steps, (n, n_classes)) / 10**steps
    truth = (rng.random((n, n_classes)) < 0.4).astype(int)
    truth[np.arange(n), rng.integers(0, n_classes, n)] = 1
    guessed, present = probabilities > 0.5, truth.any(axis=0)

    metrics = multi_label_metrics(probabilities, truth, [f"c{k}" for k in range(n_classes)])

    averages = average_precision_score(truth[:, present], probabilities[:, present], average=None)
    assert metrics["mean_average_precision"] == pytest.approx(np.mean(averages))
    assert metrics["micro_f1"] == pytest.approx(
        f1_score(truth, guessed, average="micro", zero_division=0)
    )
    _, _, f1, _ = precision_recall_fscore_support(truth, guessed, zero_division=0)
    assert metrics["macro_f1"] == pytest.approx(f1[present].mean())
    assert metrics["exact_match"] == pytest.approx(accuracy_score(truth, guessed))
    assert metrics["hamming_loss"] == pytest.approx(hamming_loss(truth, guessed))
