"""Comparisons on the same pictures: a difference is found where it is; noise is called so."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import binomtest

from tl.errors import ConfigError
from tl.evaluation.compare import compare_predictions
from tl.evaluation.predictions import Predictions


def said(rate: float, seed: int, count: int = 400, classes: int = 3) -> Predictions:
    """A model that is right on about such a share of the pictures."""
    truth = np.random.default_rng(0).integers(0, classes, count)
    rng = np.random.default_rng(seed)
    right = rng.random(count) < rate
    predicted = np.where(right, truth, (truth + 1) % classes)
    answers = np.full((count, classes), 0.1, np.float32)
    answers[np.arange(count), predicted] = 0.8
    return Predictions(
        problem="single_label",
        class_names=tuple("abc")[:classes],
        side="test",
        keys=[f"{place}.jpg" for place in range(count)],
        identities=[f"{place:064x}" for place in range(count)],
        truth=truth,
        answers=answers,
    )


def test_better_model_is_named() -> None:
    one, other = said(0.7, 1), said(0.85, 2)
    result = compare_predictions(one, other)

    assert result.n_pictures == 400
    first = result.differences[0]
    assert first.name == "top_1_accuracy"
    assert first.better == "second"
    assert first.difference == pytest.approx(other.right.mean() - one.right.mean())
    assert first.interval[0] < first.difference < first.interval[1]
    assert first.interval[0] > 0
    only_one = int((one.right & ~other.right).sum())
    only_other = int((~one.right & other.right).sum())
    assert (result.only_first_right, result.only_second_right) == (only_one, only_other)
    assert first.p_value == pytest.approx(binomtest(only_one, only_one + only_other).pvalue)
    mirrored = compare_predictions(other, one).differences[0]
    assert mirrored.better == "first"
    assert mirrored.difference == pytest.approx(-first.difference)


def test_pictures_of_a_group_are_not_as_many_answers() -> None:
    """Each of 20 patients has 20 pictures: models that are as good are not told apart by them."""
    verdicts = {"pictures": 0, "groups": 0}
    for number in range(40):
        one, other = (
            dataclasses.replace(few, answers=np.repeat(few.answers, 20, axis=0),
                truth=np.repeat(few.truth, 20), keys=[str(place) for place in range(400)],
                identities=[str(place) for place in range(400)])
            for few in (said(0.7, 2 * number, 20), said(0.7, 2 * number + 1, 20))
        )  # fmt: skip
        for unit in verdicts:
            cuts = {"group": [str(place // 20) for place in range(400)]} if unit == "groups" else {}
            result = compare_predictions(dataclasses.replace(one, cuts=cuts), other)
            verdicts[unit] += result.differences[0].better != "neither"
            assert result.n_groups == (20 if cuts else None)
    assert verdicts["pictures"] > 20
    assert verdicts["groups"] <= 6


def test_equal_models_are_rarely_called_different() -> None:
    verdicts = [
        compare_predictions(said(0.8, 2 * n), said(0.8, 2 * n + 1)).differences[0].better
        for n in range(1, 61)
    ]
    assert sum(one != "neither" for one in verdicts) <= 6
    same = compare_predictions(said(0.8, 5), said(0.8, 5)).differences[0]
    assert (same.better, same.p_value, same.difference) == ("neither", 1.0, 0.0)


def test_only_shared_pictures_count() -> None:
    one, other = said(0.7, 1), said(0.9, 2)
    moved = dataclasses.replace(
        other, identities=[f"other {place}" for place in range(100)] + list(other.identities[100:])
    )
    result = compare_predictions(one, moved)
    assert (result.n_pictures, result.only_first, result.only_second) == (300, 100, 100)
    assert result.differences[0].first == pytest.approx(one.right[100:].mean())


def test_values_are_compared_by_their_errors() -> None:
    truth = np.random.default_rng(0).normal(50, 10, (200, 1)).astype(np.float32)

    def model(error: float) -> Predictions:
        noise = np.random.default_rng(int(error)).normal(0, error, (200, 1))
        return dataclasses.replace(
            said(0.5, 1, 200), problem="regression", class_names=("years",), truth=truth,
            answers=(truth + noise).astype(np.float32),
        )  # fmt: skip

    result = compare_predictions(model(8), model(2))
    assert result.differences[0].name == "mae"
    assert result.differences[0].better == "second"  # the lower one
    assert result.only_first_right is None


def test_what_cannot_be_compared_is_refused() -> None:
    one = said(0.8, 1)
    with pytest.raises(ConfigError, match="know other classes: a, b, c against"):
        compare_predictions(one, dataclasses.replace(one, class_names=("a", "b", "d")))
    with pytest.raises(ConfigError, match="one answers single_label and the other multi_label"):
        compare_predictions(one, dataclasses.replace(one, problem="multi_label"))
    with pytest.raises(ConfigError, match="none is the same.*--dataset DIR"):
        compare_predictions(one, dataclasses.replace(one, identities=["x"] * 400))
    relabelled = dataclasses.replace(one, truth=(one.truth + 1) % 3)
    with pytest.raises(ConfigError, match="another label in the one run"):
        compare_predictions(one, relabelled)
