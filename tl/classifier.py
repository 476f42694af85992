"""Backbone and head as one flat Keras model: RGB of 0 to 255 in, logits or values out."""

from dataclasses import dataclass
from typing import Any

import keras

from tl.heads import head_layers
from tl.problem import Problem
from tl.zoo.backbones import Backbone
from tl.zoo.build import build_backbone
from tl.zoo.stages import Stage, stage_outputs, stages
from tl.zoo.weights import Weights


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model with the names of its parts.

    Attributes:
        model: (batch, height, width, 3) RGB of 0 to 255 -> logits (batch, n_classes), or values
            (batch, 1).
        backbone: the same layers up to the features, (batch, n_features).
        head: features -> logits or values, the same layers as in ``model``.
        stages: the backbone's layers in groups of one output stride, input side first.
        taps: places among the stages that the head reads: averages over the positions of a stage's
            output, or, of the last stage, the backbone's features.
        image_size: (height, width).
    """

    model: keras.Model
    backbone: keras.Model
    head: keras.Model
    stages: tuple[Stage, ...]
    taps: tuple[int, ...]
    image_size: tuple[int, int]


def build_classifier(
    backbone: Backbone,
    *,
    n_classes: int,
    image_size: tuple[int, int],
    weights: Weights | None,
    dropout: float,
    problem: Problem = "single_label",
    taps: tuple[int, ...] | None = None,
    hidden: int = 0,
) -> Classifier:
    """Build a backbone with a new head.

    Args:
        backbone: a row of the zoo.
        n_classes: width of the output.
        image_size: (height, width) in pixels.
        weights: of the backbone; None leaves it random, to be loaded from a run.
        dropout: before the head's linear layer.
        problem: what the outputs are.
        taps: stages that the head reads; None is the last one, the backbone's features.
        hidden: units of a hidden layer in the head; 0 for none.
    """
    body = build_backbone(backbone, image_size, weights)
    return attach_head(
        body, n_classes=n_classes, dropout=dropout, problem=problem, taps=taps, hidden=hidden
    )


def attach_head(
    backbone: keras.Model,
    *,
    n_classes: int,
    dropout: float,
    problem: Problem = "single_label",
    taps: tuple[int, ...] | None = None,
    hidden: int = 0,
) -> Classifier:
    """Put a new head on a built backbone, whose weights stay the ones it has.

    Args:
        backbone: of `build_backbone`.
        n_classes: width of the output.
        dropout: before the head's linear layer.
        problem: what the outputs are.
        taps: stages that the head reads; None is the last one, the backbone's features.
        hidden: units of a hidden layer in the head; 0 for none.
    """
    found = stages(backbone)
    taps = taps or (len(found) - 1,)
    x = _tapped(backbone, taps)
    inputs = keras.Input(x.shape[1:], name="features_input", dtype="float32")
    head = keras.Model(
        inputs, head_layers(inputs, n_classes, dropout, problem, hidden), name="head"
    )
    for layer in head.layers[1:]:  # the same layers again, so that the model stays flat
        x = layer(x)
    model = keras.Model(backbone.input, x, name="classifier")
    return Classifier(model, backbone, head, found, taps, tuple(backbone.input.shape[1:3]))


def _tapped(backbone: keras.Model, taps: tuple[int, ...]) -> Any:
    """Return the features of several stages side by side."""
    averages = stage_features(backbone)
    read = [averages[tap] for tap in taps]
    if len(read) == 1:
        return read[0]
    return keras.layers.Concatenate(dtype="float32", name="taps")(read)


def stage_features(backbone: keras.Model) -> tuple[Any, ...]:
    """Return what each stage says of a picture, (batch, channels): means over its positions.

    The last stage says what the backbone does, whose pooling may be followed by a norm.
    """
    maps = stage_outputs(backbone)[:-1]
    averages = [
        keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"stage_{number}_average")(one)
        for number, one in enumerate(maps)
    ]
    return (*averages, backbone.output)
