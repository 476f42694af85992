"""Flips that change what a picture is are found, and flips that do not are left in peace."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tl.augment.flip_harm import flip_harm, probe_predictions


def answers(text: str) -> NDArray[np.int64]:
    return np.array([int(digit) for digit in text], np.int64)


LABELS = answers("2" * 20 + "5" * 20)


def test_pair_that_is_mistaken_most_often_is_named() -> None:
    mirrored = answers("5" * 14 + "3" * 2 + "2" * 4 + "5" * 17 + "2" * 3)

    harm = flip_harm(LABELS.copy(), mirrored, labels=LABELS)

    assert harm is not None
    assert (harm.n_pictures, harm.right, harm.lost, harm.gained) == (40, 40, 19, 0)
    assert harm.pair == (2, 5)
    assert harm.pair_count == 14


def test_as_many_gained_as_lost_is_no_harm() -> None:
    plain = answers("2" * 15 + "5" * 5 + "5" * 20)
    mirrored = answers("5" * 5 + "2" * 15 + "5" * 20)

    assert flip_harm(plain, mirrored, labels=LABELS) is None


def test_one_or_two_lost_pictures_are_chance() -> None:
    mirrored = LABELS.copy()
    mirrored[:4] = 5

    assert flip_harm(LABELS.copy(), mirrored, labels=LABELS) is None


def test_same_answers_are_no_harm() -> None:
    assert flip_harm(LABELS, LABELS, labels=LABELS) is None
    assert flip_harm(1 - LABELS, 1 - LABELS, labels=LABELS) is None


def test_share_below_one_in_twenty_is_no_harm() -> None:
    labels = np.zeros(1000, np.int64)
    mirrored = labels.copy()
    mirrored[:40] = 1

    assert flip_harm(labels, mirrored, labels=labels) is None
    mirrored[:60] = 1
    assert flip_harm(labels, mirrored, labels=labels) is not None


@pytest.mark.parametrize("n_features", [8, 300], ids=["few features", "more than pictures"])
def test_probe_answers_for_what_it_can_separate(n_features: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, n_features)) * 3 + 100
    labels = np.tile([0, 1, 4], 40)  # of class 2 and 3 there is no picture

    def around(values: NDArray[Any]) -> NDArray[np.float32]:
        order = np.searchsorted([0, 1, 4], values)
        return (centres[order] + rng.normal(size=(len(values), n_features))).astype(np.float32)

    others = np.array([4, 4, 1, 0, 1] * 10)
    first, second = probe_predictions(around(labels), labels, around(others), around(others[::-1]))

    np.testing.assert_array_equal(first, others)
    np.testing.assert_array_equal(second, others[::-1])


def test_constant_features_do_not_divide_by_zero() -> None:
    features = np.ones((6, 4), np.float32)

    first, _ = probe_predictions(features, np.array([0, 1] * 3), features, features)

    assert first.shape == (6,)


@pytest.fixture(scope="module")
def probed() -> Any:
    """Function from a dataset to the harm that the shipped backbone sees."""
    from tl.data.sources import open_dataset
    from tl.features import FeatureExtractor, mirrored_view, plain_view
    from tl.zoo.backbones import find_backbone
    from tl.zoo.build import build_backbone
    from tl.zoo.weights import resolve_weights

    def harm(spec: str, size: int, step: int) -> Any:
        dataset = open_dataset(spec)
        examples = dataset[::step]
        row = find_backbone("tl_small")
        backbone = build_backbone(row, (size, size), weights=resolve_weights(row, "tl"))
        extractor = FeatureExtractor(backbone)
        plain = extractor.extract(examples, plain_view((size, size)))
        flipped = extractor.extract(examples, mirrored_view((size, size)))
        features, labels, mirrored = plain.of_stages([-1]), plain.targets, flipped.of_stages([-1])
        held = np.arange(len(labels)) % 4 == 0
        predictions = probe_predictions(
            features[~held], labels[~held], features[held], mirrored[held]
        )
        return flip_harm(*predictions, labels=labels[held])

    return harm


@pytest.mark.slow
def test_mirrored_digits_are_found_with_the_shipped_backbone(probed: Any) -> None:
    harm = probed("digits", 64, 1)

    assert harm is not None
    assert harm.right > 0.85 * harm.n_pictures
    assert harm.lost > 0.2 * harm.n_pictures


@pytest.mark.slow
def test_mirrored_flowers_do_no_harm(probed: Any, shared: Any) -> None:
    assert probed(str(shared / "data" / "flower_photos"), 64, 1) is None
