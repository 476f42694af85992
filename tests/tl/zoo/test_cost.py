"""Multiply-adds agree with what the papers print."""

import keras
import pytest

from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.cost import multiply_adds, stage_costs
from tl.zoo.stages import stages


@pytest.mark.parametrize(
    ("name", "published", "tolerance"),
    [
        ("vgg16", 15_346_630_656, 0),  # sum over the table of Simonyan and Zisserman 2015, D
        ("mobilenet", 569e6, 0.01),  # Howard et al. 2017, table 4, with 1 M of its classifier
        ("mobilenet_v2", 300e6, 0.01),  # Sandler et al. 2018, table 4, likewise
        ("resnet50", 3.8e9, 0.03),  # He et al. 2015, table 1
        ("xception", 8.4e9, 0.01),  # Chollet's separable layers, at 299 pixels
    ],
)
def test_backbones_cost_what_their_papers_say(
    name: str, published: float, tolerance: float
) -> None:
    row = find_backbone(name)
    model = build_backbone(row, row.image_size)

    total = multiply_adds(model)

    assert total == pytest.approx(published, rel=tolerance)
    assert sum(stage_costs(model, stages(model))) == total


def test_groups_and_rows_are_counted() -> None:
    inputs = keras.Input((8, 8, 6))
    grouped = keras.layers.Conv2D(4, 3, groups=2, padding="same")(inputs)
    dense = keras.layers.Dense(5)(grouped)

    assert multiply_adds(keras.Model(inputs, dense)) == 64 * 3 * 3 * 3 * 4 + 64 * 4 * 5
