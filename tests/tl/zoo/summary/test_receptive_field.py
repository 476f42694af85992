"""What one position sees, by formula, by published tables, and by which pixels matter."""

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

from tl.zoo.backbones import find_backbone
from tl.zoo.summary.described import describe
from tl.zoo.summary.network import Layer, summarise
from tl.zoo.summary.receptive_field import ReceptiveField, Span, joined

layers = keras.layers


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_layers_without_stride_see_1_plus_l_times_f_minus_1(depth: int, kernel: int) -> None:
    # Araujo et al. 2019, equation 2 with strides of 1; CS231n lecture 9: three 3x3 see 7x7.
    span = Span()
    for _ in range(depth):
        span = span.through(kernel)

    assert span.size == 1 + depth * (kernel - 1)


def test_three_3x3_layers_see_7x7() -> None:
    assert Span().through(3).through(3).through(3).size == 7


@cache
def last_map(name: str) -> Layer:
    network = describe(find_backbone(name)).network
    return [layer for layer in network.layers if len(layer.output_shape) == 3][-1]


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        # Araujo et al. 2019, table of receptive fields.
        ("alexnet", 195),
        ("vgg16", 212),
        ("resnet50", 483),
        pytest.param("inception_v3", 1311, marks=pytest.mark.slow),
        pytest.param("inception_resnet_v2", 3039, marks=pytest.mark.slow),
    ],
)
def test_the_last_maps_see_what_is_published(name: str, pixels: int) -> None:
    field = last_map(name).field

    assert field is not None
    assert (field.height.size, field.width.size) == (pixels, pixels)
    assert not field.whole


def test_vgg16_layer_by_layer() -> None:
    # Worked by hand: each 3x3 adds twice the stride, each pooling adds it once and doubles it.
    seen = {
        layer.name: (layer.field.height.size, layer.field.height.stride, layer.field.height.offset)
        for layer in describe(find_backbone("vgg16")).network.layers
        if layer.field is not None
    }

    assert seen["block1_conv2"] == (5, 1, -2)
    assert seen["block1_pool"] == (6, 2, -2)
    assert seen["block2_conv2"] == (14, 2, -6)
    assert seen["block3_conv3"] == (40, 4, -18)
    assert seen["block4_conv3"] == (92, 8, -42)
    assert seen["block5_conv3"] == (196, 16, -90)
    assert seen["block5_pool"] == (212, 32, -90)


def plain() -> Any:
    inputs = keras.Input((40, 44, 1))
    x = layers.Conv2D(1, 5, strides=2, padding="same")(inputs)
    x = layers.ZeroPadding2D(((1, 2), (0, 1)))(x)
    x = layers.AveragePooling2D((3, 2), 2)(x)
    x = layers.Conv2D(1, (1, 3), dilation_rate=(1, 2))(x)
    return inputs, layers.Cropping2D(((1, 0), (0, 0)))(x)


def branches() -> Any:
    inputs = keras.Input((40, 40, 1))
    narrow = layers.Conv2D(1, 1, strides=2, padding="same")(inputs)
    wide = layers.Conv2D(1, 7, strides=2, padding="same")(inputs)
    wide = layers.DepthwiseConv2D(3, padding="same")(wide)
    return inputs, layers.Concatenate()([narrow, wide])


@pytest.mark.parametrize("build", [plain, branches])
def test_exactly_the_pixels_that_are_named_change_a_position(build: Any) -> None:
    inputs, outputs = build()
    model = keras.Model(inputs, outputs)
    # Kernels of ones, biases of zeros: what is seen at all shows.
    model.set_weights([np.full_like(one, one.ndim > 1) for one in model.get_weights()])
    field = summarise(model).layers[-1].field
    assert field is not None
    sides = model.input_shape[1:3]
    # As many pictures as pixels, each with another one lit.
    lit = np.eye(sides[0] * sides[1], dtype="float32").reshape(-1, *sides, 1)
    answers = model.predict(lit, batch_size=256, verbose=0).any(axis=-1)

    for at in ((3, 4), (5, 3)):
        reached = answers[:, *at].reshape(sides)
        for axis, span in enumerate((field.height, field.width)):
            pixels = np.flatnonzero(reached.any(axis=1 - axis))
            first = span.offset + at[axis] * span.stride
            assert (pixels[0], pixels[-1]) == (first, first + span.size - 1)


def test_a_gate_sees_all_and_keeps_what_the_maps_see() -> None:
    inputs = keras.Input((16, 16, 4))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    gate = layers.Dense(4)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    field = summarise(keras.Model(inputs, layers.Multiply()([x, gate]))).layers[-1].field

    assert field == ReceptiveField(
        height=Span(size=3, offset=-1), width=Span(size=3, offset=-1), whole=True
    )


def test_what_flattening_feeds_sees_all() -> None:
    inputs = keras.Input((8, 8, 1))
    x = layers.Dense(3)(layers.Flatten()(layers.Conv2D(1, 3)(inputs)))
    field = summarise(keras.Model(inputs, x)).layers[-1].field

    assert field is not None
    assert field.whole
    assert (field.height.size, field.height.offset) == (8, 0)


def test_a_layer_that_resizes_in_an_unknown_way_ends_what_is_known() -> None:
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(1, 3)(layers.UpSampling2D()(inputs))
    found = summarise(keras.Model(inputs, x)).layers

    assert found[0].field is not None
    assert [layer.field for layer in found[1:]] == [None, None]


def test_branches_of_different_strides_do_not_match() -> None:
    one = ReceptiveField()
    other = ReceptiveField(height=Span(stride=2), width=Span(stride=2))

    assert joined([one, other]) is None


def test_the_centre_lies_in_the_middle() -> None:
    assert Span(size=3, offset=-1).centre == 0
    assert Span(size=2, offset=0).centre == 0.5
