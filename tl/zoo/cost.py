"""What a network costs to run: multiply-adds of its layers for one picture."""

import math
from typing import Any

import keras

from tl.zoo.stages import Stage


def multiply_adds(layer: Any) -> int:
    """Return the multiply-adds of a layer or a model for one picture.

    Those of convolutions and dense layers; what scales, adds or pools costs a few per cent beside
    them and is left out, as the tables of the papers do.
    """
    if isinstance(layer, keras.Model):
        return sum(multiply_adds(inner) for inner in layer.layers)
    if isinstance(layer, keras.layers.SeparableConv2D):
        positions = _positions(layer)
        depthwise, pointwise = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        return int(positions * (math.prod(depthwise) + math.prod(pointwise)))
    if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
        # A kernel is (height, width, input channels of a group, output channels), or, depthwise,
        # (height, width, channels, multiplier): either way all of it is used at each position.
        return int(_positions(layer) * math.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.Dense):
        rows = math.prod(one for one in layer.output.shape[1:-1] if one)
        return int(rows * math.prod(layer.kernel.shape))
    return 0


def stage_costs(backbone: keras.Model, stages: tuple[Stage, ...]) -> tuple[int, ...]:
    """Return the multiply-adds of every stage for one picture."""
    return tuple(
        sum(multiply_adds(backbone.get_layer(name)) for name in stage.layer_names)
        for stage in stages
    )


def _positions(layer: Any) -> int:
    _, height, width, _ = layer.output.shape
    return int(height * width)
