"""Intervals cover as often as they say, and tests call equal things different as rarely."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.evaluation.score_interval import (
    group_numbers,
    mcnemar,
    mean_figure,
    paired_p_value,
    percentile_interval,
    resampled,
    wilson,
    with_intervals,
)


@pytest.mark.parametrize(
    ("right", "count", "interval"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)),
     (1, 29, (0.0061, 0.1718))],
)  # fmt: skip
def test_wilson_is_what_was_published(
    right: int, count: int, interval: tuple[float, float]
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert wilson(right, count) == pytest.approx(interval, abs=5e-5)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_a_share(count: int, share: float) -> None:
    right = round(share * count)
    low, high = wilson(right, count)

    assert 0 <= low <= right / count + 1e-12
    assert right / count - 1e-12 <= high <= 1
    assert low < high


def test_mcnemar_is_the_binomial_test_of_the_pictures_that_tell() -> None:
    one = np.array([1] * 8 + [0] * 2 + [1] * 50, bool)
    other = np.array([0] * 8 + [1] * 2 + [1] * 50, bool)

    # 2 (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 112 / 1024
    assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(112 / 1024)
    assert mcnemar(one, one) == 1.0


def test_bootstrap_of_a_mean_is_as_wide_as_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)

    scores = resampled(lambda weights: float(np.average(values, weights=weights)), 400, seed=0)
    low, high = percentile_interval(scores)

    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.04)


def test_interval_of_groups_holds_the_truth_as_often_as_it_says() -> None:
    """Ten pictures of each of 40 patients, all right or all wrong, are 40 answers and not 400."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    held = {"pictures": 0, "groups": 0}
    for _ in range(200):
        figure = mean_figure(np.repeat(rng.random(40) < 0.7, 10))
        for name, unit in (("pictures", None), ("groups", groups)):
            low, high = with_intervals({"accuracy": figure}, 400, unit)["accuracy_interval"]
            held[name] += low <= 0.7 <= high
    assert 0.88 < held["groups"] / 200 < 0.99
    assert held["pictures"] / 200 < 0.6


def test_all_answers_right_is_as_sure_as_there_are_groups() -> None:
    figure = mean_figure(np.ones(60))
    found = with_intervals({"accuracy": figure}, 60, np.repeat(np.arange(6), 10))
    assert found == {"accuracy": 1.0, "accuracy_interval": list(wilson(6, 6))}


def test_groups_are_numbered_and_pictures_without_one_stand_alone() -> None:
    numbers = group_numbers(["a", None, "a", "b", None, "own 1"])
    assert numbers is not None
    assert numbers[0] == numbers[2]
    assert len(set(numbers.tolist())) == numbers.max() + 1 == 5
    assert group_numbers([None, None]) is None


def test_pairs_tell_what_intervals_of_their_own_would_not() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 300)  # some pictures are harder, for both

    def scores(errors: np.ndarray) -> np.ndarray:
        return resampled(lambda weights: float(np.average(errors, weights=weights)), 300, seed=1)

    one, other = scores(hard), scores(hard + rng.normal(0.5, 1, 300))

    assert percentile_interval(one)[1] > percentile_interval(other)[0]
    assert paired_p_value(one, other) < 0.01
    assert paired_p_value(one, one) == 1.0


def test_equal_scores_are_called_different_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    p_values = [mcnemar(rng.random(200) < 0.8, rng.random(200) < 0.8) for _ in range(300)]

    assert np.mean(np.array(p_values) < 0.05) < 0.08
