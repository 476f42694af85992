import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tl.data.resize import centre_box, centre_view

SIDES = st.integers(1, 300)


@given(st.tuples(SIDES, SIDES), st.tuples(st.integers(1, 80), st.integers(1, 80)))
@example((1, 300), (32, 32))
@example((300, 1), (32, 64))
@example((1, 1), (80, 1))
@settings(deadline=None)
def test_view_has_the_size_that_is_asked_for(shape: tuple[int, int], size: tuple[int, int]) -> None:
    view = centre_view(np.full((*shape, 3), 7, np.uint8), size)

    assert view.shape == (*size, 3)
    assert view.dtype == np.uint8
    assert (view == 7).all()


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_box_is_centred_and_as_large_as_fits(shape: tuple[int, int], size: tuple[int, int]) -> None:
    top, left, height, width = centre_box(shape, size)

    assert 1 <= height <= shape[0]
    assert 1 <= width <= shape[1]
    assert height == shape[0] or width == shape[1]
    assert 0 <= shape[0] - height - 2 * top <= 1
    assert 0 <= shape[1] - width - 2 * left <= 1
    # Of the target's shape, to the pixel that integers allow.
    assert abs(height * size[1] - width * size[0]) < max(size)


def test_square_view_of_a_wide_picture_shows_its_middle() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200

    view = centre_view(image, (5, 5))

    assert (view == 200).all()


def test_view_of_the_right_size_is_the_picture_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)

    np.testing.assert_array_equal(centre_view(image, (9, 12)), image)


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)

    view = centre_view(image, (8, 8))

    assert np.abs(view.astype(int) - 127).max() <= 2
