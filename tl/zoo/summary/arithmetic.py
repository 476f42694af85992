"""The arithmetic of layers: sizes, weights, multiply-adds. Functions of whole numbers, no Keras.

Every figure of `tl summary` and of `tl.zoo.cost` comes from here.
"""

FLOAT_BYTES = 4
"""Of one float32."""
KB = 1024
"""Bytes of a KB, and KB of a MB, in every table of memory here."""


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Return how many positions a window takes along one axis: floor((W - F + 2P) / S) + 1.

    Args:
        size: W, positions of the input.
        kernel: F, values of the window.
        stride: S, positions from one window to the next.
        padding: 2P, zeros added on both sides together; frameworks may add more on one of them.
        dilation: positions between neighbouring values of the window, which then is
            ``effective_kernel`` wide.

    Raises:
        ValueError: the window is wider than the padded input.

    Source: Dumoulin and Visin 2016, "A guide to convolution arithmetic", relations 6 and 15.
    """
    room = size + padding - effective_kernel(kernel, dilation)
    if room < 0:
        raise ValueError(
            f"a window of {kernel} has no room in {size} positions padded by {padding}"
        )
    return room // stride + 1


def effective_kernel(kernel: int, dilation: int = 1) -> int:
    """Return how many positions a dilated window spans; same source as ``output_size``."""
    return (kernel - 1) * dilation + 1


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Return the zeros (before, after) with which ceil(size / stride) positions come out.

    The odd one goes to the end, as TensorFlow and Keras do it.

    Source: tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.
    """
    positions = -(-size // stride)
    total = max((positions - 1) * stride + effective_kernel(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def convolution_weights(
    kernel: tuple[int, int], channels: int, filters: int, groups: int = 1
) -> int:
    """Return the weights of a convolution without biases: F * F * (C / groups) * K.

    Args:
        kernel: (height, width) of the window.
        channels: of the input; each group of filters sees an equal part of them.
        filters: channels of the output, in all groups together.
        groups: 1 for the ordinary convolution, ``channels`` for a depthwise one.

    Source: Stanford CS231n notes, "Convolutional networks", summary of the convolution layer;
    groups as in Krizhevsky et al. 2012, section 3.5.
    """
    return kernel[0] * kernel[1] * (channels // groups) * filters


def convolution_parameters(
    kernel: tuple[int, int], channels: int, filters: int, groups: int = 1
) -> int:
    """Return the weights of a convolution and its biases, one a filter."""
    return convolution_weights(kernel, channels, filters, groups) + filters


def convolution_multiply_adds(positions: int, weights: int) -> int:
    """Return the multiply-adds of a convolution: every weight is used once at each position.

    Args:
        positions: height * width of the output.
        weights: of ``convolution_weights``. Biases are not counted.

    Source: He and Sun 2015, "Convolutional neural networks at constrained time cost", equation 1.
    """
    return positions * weights


def dense_weights(inputs: int, units: int) -> int:
    """Return the weights of a fully connected layer without its biases, one a unit."""
    return inputs * units


def dense_multiply_adds(weights: int, rows: int = 1) -> int:
    """Return the multiply-adds of a fully connected layer for this many input vectors."""
    return rows * weights


def pool_operations(positions: int, window: tuple[int, int], channels: int) -> int:
    """Return the values that pooling compares or adds: F * F for each value of the output.

    No multiply-adds; lectures list them beside those of convolutions as "flop".
    """
    return positions * window[0] * window[1] * channels


def kilobytes(elements: int) -> float:
    """Return the memory of this many float32, in KB of 1024 bytes."""
    return elements * FLOAT_BYTES / KB
