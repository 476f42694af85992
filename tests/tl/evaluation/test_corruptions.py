"""Corruptions: harder ones change more, the same seed gives the same, sizes and types stay."""

import cv2
import numpy as np
import pytest

from tl.data.resize import centre_view
from tl.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupted_view


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    y, x = np.mgrid[0:120, 0:160]
    slope = x + 0.5 * y + 40.0 * (x > 90)
    return np.stack([slope, slope[::-1], 255 - slope], axis=2).clip(0, 255).astype(np.uint8)


def view(image: np.ndarray) -> np.ndarray:
    return centre_view(image, (64, 64))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_is_how_much_changes(picture: np.ndarray, name: str) -> None:
    clean = view(picture).astype(float)
    changes = []
    for severity in SEVERITIES:
        corrupted = corrupted_view(picture, name, severity, view, [1])
        assert corrupted.shape == (64, 64, 3)
        assert corrupted.dtype == np.uint8
        changes.append(np.abs(corrupted - clean).mean())
    assert 0 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_decides(picture: np.ndarray, name: str) -> None:
    one = corrupted_view(picture, name, 2, view, [3, 4])
    assert np.array_equal(one, corrupted_view(picture, name, 2, view, [3, 4]))
    others = [corrupted_view(picture, name, 2, view, [seed]) for seed in range(8)]
    if name not in ("blur", "jpeg"):  # these leave nothing to chance
        assert any(not np.array_equal(one, other) for other in others)


def test_colours_keep_their_places_through_jpeg() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[:, :, 0] = 200
    corrupted = corrupted_view(red, "jpeg", 1, view, 0)
    assert corrupted[:, :, 0].mean() > 150
    assert corrupted[:, :, 2].mean() < 60


def test_rotation_leaves_no_empty_corner() -> None:
    white = np.full((90, 90, 3), 255, np.uint8)
    assert corrupted_view(white, "rotation", 3, view, 0).min() == 255
    assert cv2.__version__
