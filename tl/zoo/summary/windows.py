"""The window that a Keras layer moves over its input: kernel, stride, dilation, padding."""

from dataclasses import dataclass
from typing import Any

import keras

from tl.zoo.summary.arithmetic import same_padding

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Each along (height, width).

    Attributes:
        kernel: values of the window.
        stride: positions from one to the next.
        dilation: positions between its values.
        padding: zeros (top, bottom) and (left, right); negative where the input is cropped.
        whole: it takes the whole map, whatever the size.
    """

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    whole: bool = False


def window_of(layer: Any, input_shape: tuple[int | None, ...]) -> Window | None:
    """Return the window of a layer, or None for one that has none.

    Args:
        layer: layer or operation of Keras; of other packages, too, if it names its ``pool_size``
            and ``strides`` as Keras' pooling does.
        input_shape: (batch, height, width, channels).
    """
    layers = keras.layers
    if len(input_shape) != 4:
        return None
    if isinstance(layer, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
        return Window(kernel=_sides(input_shape), whole=True)
    if isinstance(layer, layers.ZeroPadding2D):
        (top, bottom), (left, right) = layer.padding
        return Window(padding=((top, bottom), (left, right)))
    if isinstance(layer, layers.Cropping2D):
        (top, bottom), (left, right) = layer.cropping
        return Window(padding=((-top, -bottom), (-left, -right)))
    if isinstance(layer, layers.Conv2DTranspose | layers.UpSampling2D):
        return None
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if kernel is None:
        return None
    kernel = _pair(kernel)
    stride = _pair(getattr(layer, "strides", None) or kernel)
    dilation = _pair(getattr(layer, "dilation_rate", 1))
    padding = ((0, 0), (0, 0))
    if getattr(layer, "padding", "valid") == "same":
        sides = _sides(input_shape)
        padding = (
            same_padding(sides[0], kernel[0], stride[0], dilation[0]),
            same_padding(sides[1], kernel[1], stride[1], dilation[1]),
        )
    return Window(kernel=kernel, stride=stride, dilation=dilation, padding=padding)


def _sides(shape: tuple[int | None, ...]) -> Pair:
    height, width = shape[1:3]
    if height is None or width is None:
        raise ValueError(f"a network of a fixed input size is needed, not one with maps of {shape}")
    return height, width


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
