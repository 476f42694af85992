"""RandAugment and TrivialAugment draw from their whole list, at the strength that is asked for."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tl.augment.policies import OPERATIONS, RandAugment, TrivialAugment

Image = NDArray[np.uint8]


def picture() -> Image:
    noise = np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.0, 0.5, 1.0])
def test_operations_give_pictures_of_the_same_shape(name: str, strength: float) -> None:
    image = picture()

    changed = OPERATIONS[name](image, strength)

    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(image, picture())


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if name not in ("auto_contrast", "equalize")]
)
def test_operations_without_strength_change_nothing(name: str) -> None:
    assert np.abs(OPERATIONS[name](picture(), 0.0).astype(int) - picture()).max() <= 1


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "identity"])
def test_operations_at_full_strength_change_much(name: str) -> None:
    # Sharpening finds little in a smooth picture.
    assert np.abs(OPERATIONS[name](picture(), 1.0).astype(int) - picture()).mean() > 0.5


def test_operations_worked_by_hand() -> None:
    image = np.array([[[0, 100, 200], [50, 150, 255]]], np.uint8)

    np.testing.assert_array_equal(OPERATIONS["solarize"](image, 1.0), 255 - image)
    half = OPERATIONS["solarize"](image, 0.5)  # threshold 128
    np.testing.assert_array_equal(half, [[[0, 100, 55], [50, 105, 0]]])
    np.testing.assert_array_equal(OPERATIONS["posterize"](image, 1.0), image // 16 * 16)
    stretched = OPERATIONS["auto_contrast"](image, 0.3)
    np.testing.assert_array_equal(stretched, [[[0, 0, 0], [255, 255, 255]]])
    flat = np.full((3, 3, 3), 77, np.uint8)
    np.testing.assert_array_equal(OPERATIONS["auto_contrast"](flat, 1.0), flat)


def draws(one: RandAugment | TrivialAugment, count: int) -> list[list[tuple[str, float]]]:
    one.set_random_seed(0)
    return [one.get_params()["drawn"] for _ in range(count)]


def test_rand_augment_draws_some_operations_at_one_strength() -> None:
    drawn = draws(RandAugment(operations=2, magnitude=15, p=1), 300)

    assert all(len(one) == 2 for one in drawn)
    names = [name for one in drawn for name, _ in one]
    assert set(names) == set(OPERATIONS)
    assert {strength for one in drawn for _, strength in one} == {-0.5, 0.5}


def test_trivial_augment_draws_one_operation_at_any_strength() -> None:
    drawn = draws(TrivialAugment(max_magnitude=30, p=1), 2000)

    assert all(len(one) == 1 for one in drawn)
    assert {name for ((name, _),) in drawn} == set(OPERATIONS)
    strengths = {round(30 * abs(strength)) for ((_, strength),) in drawn}
    assert strengths == set(range(31))
    gentle = draws(TrivialAugment(max_magnitude=3, p=1), 100)
    assert max(abs(strength) for ((_, strength),) in gentle) == 0.1
