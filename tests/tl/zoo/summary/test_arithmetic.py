"""The arithmetic that lectures do at the blackboard."""

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.zoo.summary.arithmetic import (
    convolution_multiply_adds,
    convolution_parameters,
    convolution_weights,
    dense_multiply_adds,
    dense_weights,
    effective_kernel,
    kilobytes,
    output_size,
    pool_operations,
    same_padding,
)
from tl.zoo.summary.network import summarise

few = st.integers(1, 7)


def test_ten_filters_of_5x5x3_have_760_parameters_and_keep_32x32_at_pad_2() -> None:
    # Stanford CS231n, lecture 5 (2017): 5 * 5 * 3 + 1 = 76 parameters a filter, ten of them.
    assert convolution_parameters((5, 5), 3, 10) == 760
    assert output_size(32, 5, stride=1, padding=2 * 2) == 32

    inputs = keras.Input((32, 32, 3))
    padded = keras.layers.ZeroPadding2D(2)(inputs)
    layer = summarise(keras.Model(inputs, keras.layers.Conv2D(10, 5, name="conv")(padded))).layers[
        -1
    ]

    assert layer.parameters.trained == 760
    assert layer.output_shape == (32, 32, 10)


@pytest.mark.parametrize(
    ("stride", "positions"),
    [(1, 5), (2, 3), (3, 2)],  # CS231n, lecture 5: 7 wide, filter 3; stride 3 "doesn't fit", 2.33
)
def test_seven_wide_filter_three(stride: int, positions: int) -> None:
    assert output_size(7, 3, stride) == positions


def test_three_3x3_layers_have_fewer_weights_than_one_7x7() -> None:
    # Simonyan and Zisserman 2015, section 2.3: 49 C² is 81 % more than 27 C².
    channels = 64
    three = 3 * convolution_weights((3, 3), channels, channels)
    one = convolution_weights((7, 7), channels, channels)

    assert (three, one) == (27 * channels**2, 49 * channels**2)
    assert round(100 * (one / three - 1)) == 81


def test_groups_divide_the_weights() -> None:
    # Krizhevsky et al. 2012, section 3.5: 256 kernels of 5x5x48 where one group has 5x5x96.
    assert convolution_weights((5, 5), 96, 256, groups=2) == 256 * 5 * 5 * 48
    assert convolution_weights((3, 3), 32, 32, groups=32) == 3 * 3 * 32


def test_costs_of_dense_layers_and_pooling() -> None:
    assert dense_weights(7 * 7 * 512, 4096) == 102_760_448
    assert dense_multiply_adds(20, rows=3) == 60
    assert convolution_multiply_adds(positions=49, weights=10) == 490
    assert pool_operations(positions=4, window=(3, 3), channels=2) == 72
    assert kilobytes(256) == 1.0


def test_a_window_that_has_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 5 has no room in 3 positions padded by 1"):
        output_size(3, 5, padding=1)


@given(size=st.integers(1, 40), kernel=few, stride=few, padding=st.integers(0, 6), dilation=few)
def test_positions_are_those_of_a_window_that_is_moved_along(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    width = effective_kernel(kernel, dilation)
    places = [
        first for first in range(0, size + padding, stride) if first + width <= size + padding
    ]

    if places:
        assert output_size(size, kernel, stride, padding, dilation) == len(places)
    else:
        with pytest.raises(ValueError, match="no room"):
            output_size(size, kernel, stride, padding, dilation)


@given(size=st.integers(1, 40), kernel=few, stride=few, dilation=few)
def test_same_padding_gives_size_over_stride(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    before, after = same_padding(size, kernel, stride, dilation)

    assert 0 <= after - before <= 1
    # Without padding a window may be smaller than its stride and leave pixels out.
    positions = output_size(size, kernel, stride, before + after, dilation)
    assert positions == -(-size // stride)
