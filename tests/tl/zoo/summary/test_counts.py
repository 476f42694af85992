"""Formulas and Keras count the same parameters."""

from typing import Any

import keras
import pytest

from tl.zoo.summary.counts import Parameters, multiply_adds_of, parameters_of, pool_operations_of
from tl.zoo.summary.network import summarise

layers = keras.layers


@pytest.mark.parametrize(
    ("layer", "weights", "biases", "statistics", "multiply_adds"),
    [
        (layers.Conv2D(4, 3), 3 * 3 * 6 * 4, 4, 0, 36 * 3 * 3 * 6 * 4),
        (layers.Conv2D(4, (1, 7), groups=2), 7 * 3 * 4, 4, 0, 8 * 2 * 7 * 3 * 4),
        (layers.Conv2D(4, 3, strides=2, use_bias=False), 3 * 3 * 6 * 4, 0, 0, 9 * 3 * 3 * 6 * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 3 * 3 * 6 * 2, 12, 0, 36 * 3 * 3 * 12),
        (layers.SeparableConv2D(5, 3), 3 * 3 * 6 + 6 * 5, 5, 0, 36 * (3 * 3 * 6 + 6 * 5)),
        (layers.Dense(5), 30, 5, 0, 64 * 30),
        (layers.BatchNormalization(), 6, 6, 12, 0),
        (layers.BatchNormalization(scale=False), 0, 6, 12, 0),
        (layers.LayerNormalization(), 6, 6, 0, 0),
        (layers.Normalization(), 0, 0, 13, 0),
        (layers.PReLU(), 8 * 8 * 6, 0, 0, 0),
        (layers.MaxPooling2D(), 0, 0, 0, 0),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else "",
)
def test_layer(layer: Any, weights: int, biases: int, statistics: int, multiply_adds: int) -> None:
    output = layer(keras.Input((8, 8, 6)))

    found = parameters_of(layer)

    assert found == Parameters(weights=weights, biases=biases, statistics=statistics)
    assert found.total == layer.count_params()
    assert multiply_adds_of(layer, output.shape) == multiply_adds


def test_pooling_reads_its_window_for_each_value() -> None:
    inputs = keras.Input((8, 8, 6))
    pooled = layers.MaxPooling2D(3, 2)
    whole = layers.GlobalAveragePooling2D()

    assert pool_operations_of(pooled, inputs.shape, pooled(inputs).shape) == 3 * 3 * 3 * 3 * 6
    assert pool_operations_of(whole, inputs.shape, whole(inputs).shape) == 8 * 8 * 6
    assert pool_operations_of(layers.Conv2D(1, 3), inputs.shape, (None, 6, 6, 1)) == 0


def test_parameters_of_frozen_layers_are_counted_the_same() -> None:
    inputs = keras.Input((8, 8, 6))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs))
    model.trainable = False

    assert summarise(model).parameters == Parameters(weights=6, biases=6, statistics=12)
