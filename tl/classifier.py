"""Backbone and head as one flat Keras model: RGB of 0 to 255 in, logits or values out."""

from dataclasses import dataclass

import keras

from tl.heads import linear_head
from tl.problem import Problem
from tl.zoo.backbones import Backbone
from tl.zoo.build import build_backbone
from tl.zoo.stages import Stage, stages
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
        image_size: (height, width).
    """

    model: keras.Model
    backbone: keras.Model
    head: keras.Model
    stages: tuple[Stage, ...]
    image_size: tuple[int, int]


def build_classifier(
    backbone: Backbone,
    *,
    n_classes: int,
    image_size: tuple[int, int],
    weights: Weights | None,
    dropout: float,
    problem: Problem = "single_label",
) -> Classifier:
    """Build a backbone with a new head.

    Args:
        backbone: a row of the zoo.
        n_classes: width of the output.
        image_size: (height, width) in pixels.
        weights: of the backbone; None leaves it random, to be loaded from a run.
        dropout: before the head's linear layer.
        problem: what the outputs are.
    """
    body = build_backbone(backbone, image_size, weights)
    features = keras.Input(body.output.shape[1:], name="features_input", dtype="float32")
    head = keras.Model(features, linear_head(features, n_classes, dropout, problem), name="head")
    x = body.output
    for layer in head.layers[1:]:  # the same layers again, so that the model stays flat
        x = layer(x)
    model = keras.Model(body.input, x, name="classifier")
    return Classifier(model, body, head, stages(body), image_size)
