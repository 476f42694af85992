from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tl.augment.colour_matrix import (
    LUMA,
    ColourJitter,
    brightness_matrix,
    colour_step,
    contrast_matrix,
    hue_matrix,
    offset_matrix,
    saturation_matrix,
)
from tl.augment.pca_jitter import ColourPca
from tl.transforms import transform

NO_PCA = ColourPca((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
PCA = ColourPca((0.2, 0.02, 0.005), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))
COLOURS = st.lists(st.floats(0, 255), min_size=3, max_size=3)


def act(matrix: NDArray[np.float64], colour: list[float]) -> NDArray[np.float64]:
    return np.asarray(matrix @ [*colour, 1.0])


def test_neutral_factors_change_nothing() -> None:
    for matrix in (brightness_matrix(1), contrast_matrix(1, 99), saturation_matrix(1),
                   hue_matrix(0), hue_matrix(1), offset_matrix(np.zeros(3))):  # fmt: skip
        np.testing.assert_allclose(matrix, np.eye(3, 4), atol=1e-12)


@given(st.floats(0, 2), st.floats(-0.5, 0.5), st.floats(0, 255))
def test_saturation_and_hue_leave_grey_grey(saturation: float, hue: float, grey: float) -> None:
    np.testing.assert_allclose(
        act(saturation_matrix(saturation), [grey] * 3), [grey] * 3, atol=1e-6
    )
    np.testing.assert_allclose(act(hue_matrix(hue), [grey] * 3), [grey] * 3, atol=1e-6)


@given(st.floats(-0.5, 0.5), COLOURS)
def test_hue_and_saturation_keep_the_luma(hue: float, colour: list[float]) -> None:
    changed = act(saturation_matrix(0.7), list(act(hue_matrix(hue), colour)))

    assert LUMA @ changed == pytest.approx(LUMA @ np.asarray(colour), abs=1e-6)


def test_each_factor_does_what_its_name_says() -> None:
    np.testing.assert_allclose(act(brightness_matrix(1.5), [10, 20, 30]), [15, 30, 45])
    # Contrast pivots on the mean grey of 100: 100 + 0.5 (x - 100).
    np.testing.assert_allclose(act(contrast_matrix(0.5, 100), [10, 20, 30]), [55, 60, 65])
    grey = 0.299 * 10 + 0.587 * 20 + 0.114 * 30
    np.testing.assert_allclose(act(saturation_matrix(0), [10, 20, 30]), [grey] * 3)
    np.testing.assert_allclose(act(offset_matrix(np.array([1, -2, 3])), [10, 20, 30]), [11, 18, 33])
    assert int(np.argmax(act(hue_matrix(1 / 3), [255, 0, 0]))) != 0


def jitter_of(names: dict[str, dict[str, float]], pca: ColourPca = NO_PCA) -> ColourJitter:
    return ColourJitter([colour_step(name, transform(name, **v), pca) for name, v in names.items()])


def jitter(
    image: NDArray[np.uint8], seed: int, pca: ColourPca = NO_PCA, **names: dict[str, float]
) -> NDArray[np.uint8]:
    one = jitter_of(names, pca)
    one.set_random_seed(seed)
    return np.asarray(one(image=image)["image"])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("saturation", {"change": 0.4}), ("hue", {"turns": 0.3}), ("grayscale", {"p": 1})],
)
def test_steps_are_their_matrix_times_what_was_before(
    name: str, parameters: dict[str, float]
) -> None:
    before = jitter_of({"pca_jitter": {"std": 3}}, PCA)
    both = jitter_of({"pca_jitter": {"std": 3}, name: parameters}, PCA)
    before.set_random_seed(1)
    both.set_random_seed(1)
    image = np.full((4, 4, 3), 100, np.uint8)
    first, product = before.draw_matrix(image), both.draw_matrix(image)
    coin = 2 * before.random_generator.random() - 1
    step = {
        "saturation": saturation_matrix(1 + 0.4 * coin),
        "hue": hue_matrix(0.3 * coin),
        "grayscale": saturation_matrix(0),
    }[name]

    assert first is not None
    assert product is not None
    np.testing.assert_allclose(
        act(product, [10, 20, 30]), act(step, list(act(first, [10, 20, 30]))), atol=1e-9
    )


def noise(shape: tuple[int, int] = (32, 48)) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(60, 190, (*shape, 3), np.uint8)


def test_jitter_of_nothing_returns_the_picture() -> None:
    nothing: dict[str, dict[str, float]] = {
        "brightness": {"change": 0}, "contrast": {"change": 0}, "saturation": {"change": 0},
        "hue": {"turns": 0}, "pca_jitter": {"std": 0}, "grayscale": {"p": 0},
    }  # fmt: skip

    np.testing.assert_array_equal(jitter(noise(), 1, PCA, **nothing), noise())


def test_jitter_of_saturation_and_hue_leaves_a_grey_picture_grey() -> None:
    grey = np.repeat(noise()[:, :, :1], 3, axis=2)

    for seed in range(20):
        changed = jitter(grey, seed, saturation={"change": 0.9}, hue={"turns": 0.5})
        np.testing.assert_array_equal(changed, grey)


def test_grayscale_leaves_three_equal_channels_of_the_luma() -> None:
    grey = jitter(noise(), 1, grayscale={"p": 1}).astype(float)

    assert np.ptp(grey, axis=2).max() == 0
    np.testing.assert_allclose(grey[:, :, 0], noise() @ LUMA, atol=0.6)  # fixed point


def test_pca_jitter_adds_one_offset_to_the_whole_picture() -> None:
    difference = jitter(noise(), 4, PCA, pca_jitter={"std": 0.3}).astype(int) - noise()

    assert np.ptp(difference, axis=(0, 1)).max() == 0
    assert difference[0, 0].any()


@pytest.mark.parametrize("order", [("brightness", "contrast"), ("contrast", "brightness")])
def test_several_steps_are_their_product_in_order(order: tuple[str, str]) -> None:
    # The second sees the mean grey that the first leaves.
    image = np.full((4, 4, 3), 100, np.uint8)
    settings = {"brightness": {"change": 0.5}, "contrast": {"change": 0.5}}
    both = jitter_of({name: settings[name] for name in order})
    both.set_random_seed(3)
    matrix = both.draw_matrix(image)

    rng = np.random.default_rng(3)
    mean, expected = np.full(3, 100.0), np.array([10.0, 20.0, 30.0])
    for name in order:
        factor = 1 + 0.5 * (2 * rng.random() - 1)
        grey = float(LUMA @ mean)
        step = brightness_matrix(factor) if name == "brightness" else contrast_matrix(factor, grey)
        mean, expected = act(step, list(mean)), act(step, list(expected))

    assert matrix is not None
    np.testing.assert_allclose(act(matrix, [10, 20, 30]), expected)


def drawn(count: int = 400, pca: ColourPca = NO_PCA, **names: Any) -> NDArray[np.float64]:
    one = jitter_of(names, pca)
    one.set_random_seed(11)
    image = np.full((4, 4, 3), 100, np.uint8)  # mean grey 100
    matrices = [one.draw_matrix(image) for _ in range(count)]
    return np.array([matrix for matrix in matrices if matrix is not None])


def test_probability_is_that_of_the_step() -> None:
    # Four standard deviations of 1000 throws.
    assert len(drawn(1000, brightness={"p": 0.3})) == pytest.approx(300, abs=58)


def test_brightness_is_drawn_from_its_whole_range() -> None:
    factors = drawn(brightness={"change": 0.2})[:, 0, 0]

    assert 0.8 <= factors.min() < 0.83
    assert 1.17 < factors.max() <= 1.2


def test_contrast_is_drawn_from_its_whole_range() -> None:
    matrices = drawn(contrast={"change": 0.5})
    factors = matrices[:, 0, 0]

    assert 0.5 <= factors.min() < 0.55
    assert 1.45 < factors.max() <= 1.5
    np.testing.assert_allclose(matrices[:, 0, 3], 100 * (1 - factors), atol=1e-6)


def test_saturation_is_drawn_from_its_whole_range() -> None:
    # m[0, 0] = s + (1 - s) 0.299
    factors = (drawn(saturation={"change": 0.4})[:, 0, 0] - 0.299) / 0.701

    assert factors.min() + 1e-9 >= 0.6
    assert factors.min() < 0.65
    assert 1.35 < factors.max() <= 1.4 + 1e-9


def test_hue_is_drawn_from_its_whole_range() -> None:
    # In YIQ the matrix is a turn of the last two axes, whose sine is entry [2, 1].
    to_yiq = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    turned = to_yiq @ drawn(hue={"turns": 0.1})[:, :, :3] @ np.linalg.inv(to_yiq)
    turns = np.arcsin(turned[:, 2, 1]) / (2 * np.pi)

    assert -0.1 - 1e-9 <= turns.min() < -0.09
    assert 0.09 < turns.max() <= 0.1 + 1e-9


def test_pca_draws_have_the_stated_spread() -> None:
    offsets = drawn(2000, PCA, pca_jitter={"std": 0.1})[:, :, 3] / 255
    draws = offsets @ np.asarray(PCA.eigenvectors) / np.asarray(PCA.eigenvalues)

    assert draws.mean(axis=0) == pytest.approx(0, abs=0.01)
    assert draws.std(axis=0) == pytest.approx(0.1, rel=0.1)
