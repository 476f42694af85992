from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tl.augment.colour_matrix import LUMA, ColourJitter, colour_matrix
from tl.augment.pca_jitter import ColourPca

NO_PCA = ColourPca((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
PCA = ColourPca((0.2, 0.02, 0.005), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))
NEUTRAL: dict[str, Any] = {
    "mean_luma": 100.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0,
    "offset": np.zeros(3),
}  # fmt: skip
NONE: dict[str, Any] = {
    "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "pca": NO_PCA,
    "pca_std": 0.1, "p": 1.0,
}  # fmt: skip


def matrix(**changes: Any) -> NDArray[np.float64]:
    return colour_matrix(**(NEUTRAL | changes))


def act(colour: list[float], **changes: Any) -> NDArray[np.float64]:
    return matrix(**changes) @ [*colour, 1.0]


def test_neutral_factors_change_nothing() -> None:
    np.testing.assert_allclose(matrix(), np.eye(3, 4), atol=1e-12)


def test_whole_turns_of_hue_change_nothing() -> None:
    np.testing.assert_allclose(matrix(hue=1.0), np.eye(3, 4), atol=1e-12)


@given(st.floats(0, 2), st.floats(-0.5, 0.5), st.floats(0, 255))
def test_saturation_and_hue_leave_grey_grey(saturation: float, hue: float, grey: float) -> None:
    np.testing.assert_allclose(
        act([grey] * 3, saturation=saturation, hue=hue), [grey] * 3, atol=1e-6
    )


@given(st.floats(-0.5, 0.5), st.lists(st.floats(0, 255), min_size=3, max_size=3))
def test_hue_and_saturation_keep_the_luma(hue: float, colour: list[float]) -> None:
    changed = act(colour, hue=hue, saturation=0.7)

    assert LUMA @ changed == pytest.approx(LUMA @ np.asarray(colour), abs=1e-6)


def test_each_factor_does_what_its_name_says() -> None:
    np.testing.assert_allclose(act([10, 20, 30], brightness=1.5), [15, 30, 45])
    # Contrast pivots on the mean grey of 100: 100 + 0.5 (x - 100).
    np.testing.assert_allclose(act([10, 20, 30], contrast=0.5), [55, 60, 65])
    grey = 0.299 * 10 + 0.587 * 20 + 0.114 * 30
    np.testing.assert_allclose(act([10, 20, 30], saturation=0.0), [grey] * 3)
    np.testing.assert_allclose(act([10, 20, 30], offset=np.array([1, -2, 3])), [11, 18, 33])
    red_turned = act([255, 0, 0], hue=1 / 3)
    assert int(np.argmax(red_turned)) != 0


def jitter(image: NDArray[np.uint8], seed: int, **changes: Any) -> NDArray[np.uint8]:
    compose = A.Compose([ColourJitter(**(NONE | changes))], seed=seed)
    return np.asarray(compose(image=image)["image"])


def noise(shape: tuple[int, int] = (32, 48)) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(60, 190, (*shape, 3), np.uint8)


def test_jitter_of_nothing_returns_the_picture() -> None:
    np.testing.assert_array_equal(jitter(noise(), 1), noise())


def test_jitter_of_saturation_and_hue_leaves_a_grey_picture_grey() -> None:
    grey = np.repeat(noise()[:, :, :1], 3, axis=2)

    for seed in range(20):
        np.testing.assert_array_equal(jitter(grey, seed, saturation=0.9, hue=0.5), grey)


def test_pca_jitter_adds_one_offset_to_the_whole_picture() -> None:
    difference = jitter(noise(), 4, pca=PCA, pca_std=0.3).astype(int) - noise()

    assert np.ptp(difference, axis=(0, 1)).max() == 0
    assert difference[0, 0].any()


@pytest.mark.parametrize(
    "changes",
    [{"brightness": 0.3}, {"contrast": 0.5}, {"saturation": 0.5}, {"hue": 0.2}],
    ids=lambda changes: next(iter(changes)),
)
def test_jitter_changes_the_statistics_of_colour(changes: dict[str, float]) -> None:
    def statistics(image: NDArray[np.uint8]) -> tuple[float, float, float]:
        pixels = image.reshape(-1, 3).astype(float)
        return pixels.mean(), pixels.std(axis=0).mean(), pixels.std(axis=1).mean()

    image = noise()
    image[:, :, 0] = np.minimum(255, image[:, :, 0] + 40)
    seen = np.array([statistics(jitter(image, seed, **changes)) for seed in range(40)])

    assert seen.std(axis=0).max() > 1


class Recorder(ColourJitter):
    """Writes down every matrix that is drawn."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.matrices: list[NDArray[np.float64]] = []

    def apply(self, img: NDArray[np.uint8], matrix: Any = None, **params: Any) -> NDArray[np.uint8]:
        self.matrices.append(matrix)
        return super().apply(img, matrix, **params)


def drawn(count: int = 400, **changes: Any) -> NDArray[np.float64]:
    recorder = Recorder(**(NONE | changes))
    compose = A.Compose([recorder], seed=11)
    image = np.full((4, 4, 3), 100, np.uint8)  # mean grey 100
    for _ in range(count):
        compose(image=image)
    return np.array(recorder.matrices)


def test_brightness_is_drawn_from_its_whole_range() -> None:
    factors = drawn(brightness=0.2)[:, 0, 0]

    assert factors.min() >= 0.8
    assert factors.max() <= 1.2
    assert factors.min() < 0.83
    assert factors.max() > 1.17


def test_contrast_is_drawn_from_its_whole_range() -> None:
    matrices = drawn(contrast=0.5)
    factors = matrices[:, 0, 0]

    assert 0.5 <= factors.min() < 0.55
    assert 1.45 < factors.max() <= 1.5
    np.testing.assert_allclose(matrices[:, 0, 3], 100 * (1 - factors), atol=1e-6)


def test_saturation_is_drawn_from_its_whole_range() -> None:
    # m[0, 0] = s + (1 - s) 0.299
    factors = (drawn(saturation=0.4)[:, 0, 0] - 0.299) / 0.701

    assert factors.min() + 1e-9 >= 0.6
    assert factors.min() < 0.65
    assert 1.35 < factors.max() <= 1.4 + 1e-9


def test_hue_is_drawn_from_its_whole_range() -> None:
    # In YIQ the matrix is a turn of the last two axes, whose sine is entry [2, 1].
    to_yiq = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    turned = to_yiq @ drawn(hue=0.1)[:, :, :3] @ np.linalg.inv(to_yiq)
    turns = np.arcsin(turned[:, 2, 1]) / (2 * np.pi)

    assert -0.1 - 1e-9 <= turns.min() < -0.09
    assert 0.09 < turns.max() <= 0.1 + 1e-9


def test_pca_draws_have_the_stated_spread() -> None:
    offsets = drawn(2000, pca=PCA, pca_std=0.1)[:, :, 3] / 255
    draws = offsets @ np.asarray(PCA.eigenvectors) / np.asarray(PCA.eigenvalues)

    assert draws.mean(axis=0) == pytest.approx(0, abs=0.01)
    assert draws.std(axis=0) == pytest.approx(0.1, rel=0.1)
