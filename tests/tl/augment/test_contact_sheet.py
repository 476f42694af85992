"""The sheet shows each original beside twelve draws, and the same ones for the same seed."""

import numpy as np
from numpy.typing import NDArray

from tl.augment.contact_sheet import GAP, HEADER, TILE, draw_contact_sheet
from tl.augment.pca_jitter import ColourPca
from tl.augment.recipes import Augmentation

PCA = ColourPca((0.1, 0.01, 0.001), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))


def sheet(recipe: str, seed: int = 0, count: int = 2) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 200, (TILE, 2 * TILE, 3), np.uint8) for _ in range(count)]
    augmentation = Augmentation(recipe, (64, 64), PCA)
    return draw_contact_sheet(images, augmentation, seed=seed, title="häuser")


def tile(drawn: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    top = HEADER + row * (TILE + GAP)
    left = GAP + column * (TILE + GAP) + (2 * GAP if column else 0)
    return drawn[top : top + TILE, left : left + TILE]


def test_every_row_has_the_original_and_twelve_draws() -> None:
    drawn = sheet("light")

    assert drawn.dtype == np.uint8
    for row in range(2):
        original = tile(drawn, row, 0)
        assert (original[: TILE // 4 - 2] == 255).all()  # the whole picture, in its shape
        assert (original[TILE // 2] < 255).all()
        views = [tile(drawn, row, column).tobytes() for column in range(1, 13)]
        assert len(set(views)) == 12
        assert all((tile(drawn, row, column) < 255).all() for column in range(1, 13))
    assert not np.array_equal(tile(drawn, 0, 1), tile(drawn, 1, 1))


def test_no_augmentation_shows_twelve_times_the_same() -> None:
    drawn = sheet("none")

    assert len({tile(drawn, 0, column).tobytes() for column in range(1, 13)}) == 1


def test_same_seed_draws_the_same_sheet() -> None:
    np.testing.assert_array_equal(sheet("strong", 3), sheet("strong", 3))
    assert not np.array_equal(sheet("strong", 3), sheet("strong", 4))
