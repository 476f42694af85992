"""Views of one picture: where they lie, how many, how large."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tl.augment.tta import SHORT_SIDES, centre_crop, scaled_shape, ten_crop, views_of
from tl.data.resize import centre_view
from tl.errors import ConfigError

Image = NDArray[np.uint8]


def places(height: int, width: int) -> Image:
    """A picture whose pixels say where they are: (row, column, 0)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = np.arange(height)[:, None]
    image[:, :, 1] = np.arange(width)
    return image


def test_ten_crop_is_four_corners_the_centre_and_their_mirror_images() -> None:
    views = ten_crop(places(30, 50), (20, 24))

    assert views.shape == (10, 20, 24, 3)
    first_pixels = [tuple(view[0, 0, :2]) for view in views[:5]]
    assert first_pixels == [(0, 0), (0, 26), (10, 0), (10, 26), (5, 13)]
    np.testing.assert_array_equal(views[5:], views[:5, :, ::-1])


def test_centre_crop_lies_in_the_middle() -> None:
    view = centre_crop(places(30, 51), (10, 11))

    assert tuple(view[0, 0, :2]) == (10, 20)
    assert view.shape == (10, 11, 3)


def test_picture_of_the_size_of_a_view_gives_it_ten_times() -> None:
    views = ten_crop(places(20, 20), (20, 20))

    for view in views[:5]:
        np.testing.assert_array_equal(view, places(20, 20))


@given(
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.tuples(st.integers(16, 300), st.integers(16, 300)),
    st.sampled_from(SHORT_SIDES),
)
def test_scaled_picture_holds_the_view_and_keeps_its_shape(
    shape: tuple[int, int], size: tuple[int, int], short_side: int
) -> None:
    height, width = scaled_shape(shape, size, short_side)

    assert height >= size[0]
    assert width >= size[1]
    side = short_side * max(size) / 224
    assert min(height, width) == pytest.approx(side, abs=1)
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.1)


@pytest.mark.parametrize(
    ("kind", "groups", "count"), [("none", 1, 1), ("ten-crop", 1, 10), ("multi-scale", 5, 10)]
)
@pytest.mark.parametrize("shape", [(1, 1), (20, 300), (100, 80)], ids=str)
def test_views_are_bytes_of_the_models_size(
    kind: str, groups: int, count: int, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)

    found = list(views_of(image, (32, 32), kind, centre_view))  # type: ignore[arg-type]

    assert len(found) == groups
    for views in found:
        assert views.shape == (count, 32, 32, 3)
        assert views.dtype == np.uint8


def test_no_augmentation_is_the_view_of_evaluation() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)

    (views,) = views_of(image, (32, 48), "none", centre_view)

    np.testing.assert_array_equal(views[0], centre_view(image, (32, 48)))


def test_smaller_views_are_scaled_in_proportion() -> None:
    # 256 for 224 is 128 for 112: the centre crop shows 7/8 of the short side.
    ramp = np.tile(np.linspace(0, 255, 1000)[:, None, None], (1, 1500, 3)).astype(np.uint8)

    (views,) = views_of(ramp, (112, 112), "ten-crop", centre_view)

    assert float(np.ptp(views[4][:, 0, 0])) / 255 == pytest.approx(112 / 128, abs=0.02)


def test_a_word_that_is_no_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="tta 'tencrop'; valid: none, ten-crop, multi-scale"):
        next(views_of(np.zeros((8, 8, 3), np.uint8), (4, 4), "tencrop", lambda image, size: image))  # type: ignore[arg-type]
