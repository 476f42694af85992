"""What a Keras layer has and does: its weights, its multiply-adds."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from tl.zoo.summary import arithmetic
from tl.zoo.summary.windows import window_of

Shape = tuple[int | None, ...]
_BIASES = ("bias", "beta")
_STATISTICS = ("moving_mean", "moving_variance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Numbers that a layer holds.

    Attributes:
        weights: that are multiplied by: kernels, the scales of normalisation.
        biases: that are added, by normalisation, too.
        statistics: that are measured, not trained: the means and variances of BatchNorm.
    """

    weights: int = 0
    biases: int = 0
    statistics: int = 0

    @property
    def trained(self) -> int:
        """What an optimizer changes."""
        return self.weights + self.biases

    @property
    def total(self) -> int:
        """What Keras counts."""
        return self.weights + self.biases + self.statistics

    def __add__(self, other: "Parameters") -> "Parameters":
        return Parameters(
            weights=self.weights + other.weights,
            biases=self.biases + other.biases,
            statistics=self.statistics + other.statistics,
        )


def parameters_of(layer: Any) -> Parameters:
    """Count the parameters of a layer; nothing is read of their values."""
    kernels = _kernel_weights(layer)
    weights = biases = statistics = 0
    for variable in getattr(layer, "weights", ()):
        size = math.prod(variable.shape)
        if variable.name in _BIASES:
            biases += size
        elif variable.name in _STATISTICS or isinstance(layer, keras.layers.Normalization):
            statistics += size
        else:
            weights += size
    return Parameters(
        weights=weights if kernels is None else sum(kernels),
        biases=biases,
        statistics=statistics,
    )


def multiply_adds_of(layer: Any, output_shape: Shape) -> int:
    """Return the multiply-adds of one layer for one picture.

    Those of convolutions and dense layers; what scales, adds or pools costs a few per cent beside
    them and is left out, as the tables of the papers do.

    Args:
        layer: of Keras.
        output_shape: (batch, ..., channels) of the call.
    """
    kernels = _kernel_weights(layer)
    if kernels is None:
        return 0
    rows = math.prod(one for one in output_shape[1:-1] if one)
    if isinstance(layer, keras.layers.Dense):
        return arithmetic.dense_multiply_adds(sum(kernels), rows)
    return sum(arithmetic.convolution_multiply_adds(rows, weights) for weights in kernels)


def pool_operations_of(layer: Any, input_shape: Shape, output_shape: Shape) -> int:
    """Return the values that a pooling layer compares or adds for one picture, 0 for others."""
    window = window_of(layer, input_shape)
    is_pooling = hasattr(layer, "pool_size") or (window is not None and window.whole)
    if window is None or not is_pooling:
        return 0
    positions = 1 if window.whole else math.prod(one or 0 for one in output_shape[1:3])
    return arithmetic.pool_operations(positions, window.kernel, output_shape[-1] or 0)


def _kernel_weights(layer: Any) -> tuple[int, ...] | None:
    """Return the weights of each kernel of a layer, or None for one that is no convolution.

    A separable convolution has two: a depthwise one and one of 1x1, both used at each position of
    the output.
    """
    layers = keras.layers
    if isinstance(layer, layers.Dense):
        inputs, units = layer.kernel.shape
        return (arithmetic.dense_weights(inputs, units),)
    if isinstance(layer, layers.SeparableConv2D):
        pointwise = layer.pointwise_kernel.shape
        return (
            _depthwise(layer.depthwise_kernel.shape),
            arithmetic.convolution_weights(pointwise[:2], pointwise[2], pointwise[3]),
        )
    if isinstance(layer, layers.DepthwiseConv2D):
        return (_depthwise(layer.kernel.shape),)
    if isinstance(layer, layers.Conv2D):
        height, width, channels, filters = layer.kernel.shape
        return (
            arithmetic.convolution_weights(
                (height, width), channels * layer.groups, filters, layer.groups
            ),
        )
    return None


def _depthwise(shape: tuple[int, ...]) -> int:
    height, width, channels, multiplier = shape
    return arithmetic.convolution_weights(
        (height, width), channels, channels * multiplier, groups=channels
    )
