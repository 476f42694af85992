"""What a network costs to run: multiply-adds of its layers for one picture."""

from typing import Any

import keras

from tl.zoo.stages import Stage
from tl.zoo.summary.counts import multiply_adds_of


def multiply_adds(layer: Any) -> int:
    """Return the multiply-adds of a layer or a model for one picture.

    Those of convolutions and dense layers; see ``tl.zoo.summary.counts``.
    """
    if isinstance(layer, keras.Model):
        return sum(multiply_adds(inner) for inner in layer.layers)
    return multiply_adds_of(layer, layer.output.shape)


def stage_costs(backbone: keras.Model, stages: tuple[Stage, ...]) -> tuple[int, ...]:
    """Return the multiply-adds of every stage for one picture."""
    return tuple(
        sum(multiply_adds(backbone.get_layer(name)) for name in stage.layer_names)
        for stage in stages
    )
