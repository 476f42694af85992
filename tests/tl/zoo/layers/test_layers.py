"""The layers compute their formulas, their gradients are the finite differences, they survive."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tl.errors import ConfigError
from tl.zoo.layers.grouped import GroupedConv2D
from tl.zoo.layers.l2_pooling import L2Pooling2D
from tl.zoo.layers.local_response import LocalResponseNormalization
from tl.zoo.layers.maxout import Maxout
from tl.zoo.layers.switches import MaxPoolWithSwitches, UnpoolBySwitches
from tl.zoo.load import load_backbone_weights

Doubles = NDArray[np.float64]


def unpooled(strides: int) -> Callable[[Any], Any]:
    """Return pooling and the way back, as one function of maps."""
    pool = MaxPoolWithSwitches(3, strides, dtype="float64")
    unpool = UnpoolBySwitches((7, 6), 3, strides, dtype="float64")
    return lambda inputs: unpool(*pool(inputs))


LAYERS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "maxout": lambda: Maxout(2, dtype="float64"),
    "maxout of 3": lambda: Maxout(3, dtype="float64"),
    "l2": lambda: L2Pooling2D(2, dtype="float64"),
    "l2, overlapping": lambda: L2Pooling2D(3, 2, dtype="float64"),
    "local response": lambda: LocalResponseNormalization(alpha=0.1, dtype="float64"),
    "switches": lambda: MaxPoolWithSwitches(2, dtype="float64"),
    "switches, overlapping": lambda: MaxPoolWithSwitches(3, 2, dtype="float64"),
    "unpooling": lambda: unpooled(3),
    "unpooling, overlapping": lambda: unpooled(2),
    "groups": lambda: GroupedConv2D(4, 3, groups=2, dtype="float64"),
}


def maps(channels: int = 6) -> Doubles:
    """No two values are within 0.01, so that the differences do not step over a maximum."""
    size = 2 * 7 * 6 * channels
    values = np.linspace(-3, 3, size)
    return np.random.default_rng(0).permutation(values).reshape(2, 7, 6, channels)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_the_finite_differences(name: str) -> None:
    layer, x = LAYERS[name](), maps()
    outputs = first_of(layer(x))
    mixing = np.random.default_rng(1).normal(size=outputs.shape)

    def loss(values: Any) -> Any:
        return keras.ops.sum(first_of(layer(values)) * mixing)

    with tf.GradientTape() as tape:
        watched = tf.Variable(x)
        total = loss(watched)
    slopes = np.asarray(tape.gradient(total, watched))

    for place in np.random.default_rng(2).choice(x.size, 40, replace=False):
        step = np.zeros_like(x)
        step.flat[place] = 1e-5
        difference = (float(loss(x + step)) - float(loss(x - step))) / 2e-5
        assert slopes.ravel()[place] == pytest.approx(difference, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", LAYERS)
def test_symbolic_shapes_are_those_computed(name: str) -> None:
    x = maps()
    symbolic = keras.Input(x.shape[1:], dtype="float64")

    computed = keras.tree.flatten(LAYERS[name]()(x))
    found = keras.tree.flatten(LAYERS[name]()(symbolic))

    for one, expected in zip(found, computed, strict=True):
        assert one.shape == (None, *expected.shape[1:])
        assert one.dtype == keras.backend.standardize_dtype(expected.dtype)


def first_of(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def test_maxout_of_two_pieces_can_be_a_relu_and_an_absolute_value() -> None:
    x = np.array([[-2.0, 0.5, 3.0]])
    pieces = np.stack([np.zeros_like(x), x], axis=-1).reshape(1, 6)
    mirrored = np.stack([-x, x], axis=-1).reshape(1, 6)

    np.testing.assert_array_equal(Maxout(2)(pieces), [[0, 0.5, 3]])
    np.testing.assert_array_equal(Maxout(2)(mirrored), [[2, 0.5, 3]])


def test_maxout_refuses_channels_that_it_cannot_divide() -> None:
    with pytest.raises(ConfigError, match="cannot divide 5 channels"):
        Maxout(2)(np.zeros((1, 5)))
    with pytest.raises(ConfigError, match="give 2 or more"):
        Maxout(1)


def test_l2_pooling_is_the_length_of_the_window() -> None:
    window = np.array([[3.0, 0.0], [0.0, -4.0]]).reshape(1, 2, 2, 1)

    assert np.asarray(L2Pooling2D(2)(window)).item() == pytest.approx(5.0)
    assert np.asarray(L2Pooling2D(2)(0 * window)).item() == pytest.approx(0.0, abs=1e-5)


def test_local_response_is_the_formula_of_the_paper() -> None:
    x = maps(8)
    expected = np.empty_like(x)
    for channel in range(8):
        near = x[..., max(0, channel - 2) : channel + 3]
        expected[..., channel] = x[..., channel] / (2 + 1e-4 * np.square(near).sum(axis=-1)) ** 0.75

    np.testing.assert_allclose(LocalResponseNormalization(dtype="float64")(x), expected, rtol=1e-12)


def test_local_response_of_large_half_precision_numbers_is_finite() -> None:
    x = np.full((1, 2, 2, 5), 1000, np.float16)

    found = np.asarray(LocalResponseNormalization(dtype="float16")(x))

    assert found.dtype == np.float16
    assert found[0, 0, 0, 2] == pytest.approx(1000 / (2 + 1e-4 * 5e6) ** 0.75, rel=1e-3)


def test_switches_say_where_the_maximum_was_and_unpooling_puts_it_back() -> None:
    picture = np.array([[1, 5, 0, 0], [2, 3, 0, 7], [9, 1, 4, 4], [1, 1, 4, 4]], np.float32)

    pooled, switches = MaxPoolWithSwitches(2)(picture[None, ..., None])
    back = UnpoolBySwitches((4, 4), 2)(pooled, switches)

    np.testing.assert_array_equal(np.asarray(pooled)[0, ..., 0], [[5, 7], [9, 4]])
    np.testing.assert_array_equal(np.asarray(switches)[0, ..., 0], [[1, 3], [0, 0]])
    np.testing.assert_array_equal(
        np.asarray(back)[0, ..., 0], [[0, 5, 0, 0], [0, 0, 0, 7], [9, 0, 4, 0], [0, 0, 0, 0]]
    )


def test_maxima_of_overlapping_windows_are_those_of_keras_and_add_up_on_the_way_back() -> None:
    x = maps()
    pooled, switches = MaxPoolWithSwitches(3, 2, dtype="float64")(x)

    # Keras computes plain arrays in float32.
    np.testing.assert_allclose(pooled, keras.ops.max_pool(x, 3, 2, "valid"), rtol=1e-6)
    back = np.asarray(UnpoolBySwitches((7, 6), 3, 2, dtype="float64")(pooled, switches))
    chosen = back != 0
    np.testing.assert_allclose(back.sum((1, 2)), np.asarray(pooled).sum((1, 2)))
    times = np.rint(back[chosen] / x[chosen])
    np.testing.assert_allclose(back[chosen], times * x[chosen])
    assert times.min() >= 1


def test_groups_are_those_of_keras() -> None:
    x = maps().astype(np.float32)
    ours, theirs = GroupedConv2D(4, 3, groups=2), keras.layers.Conv2D(4, 3, groups=2)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())

    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_survive_saving_and_their_networks_take_weights_by_name(
    name: str, tmp_path: Path
) -> None:
    inputs = keras.Input((7, 6, 6), dtype="float64")
    before = keras.layers.Conv2D(6, 1, dtype="float64", name="before")(inputs)
    model = keras.Model(inputs, LAYERS[name]()(before))
    model.save(tmp_path / "x.keras")
    expected = [np.asarray(one) for one in keras.tree.flatten(model(maps()))]

    loaded = keras.saving.load_model(tmp_path / "x.keras")
    for one, found in zip(expected, keras.tree.flatten(loaded(maps())), strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-12)
    for variable in loaded.variables:
        variable.assign(keras.ops.zeros_like(variable))
    load_backbone_weights(loaded, tmp_path / "x.keras")
    for one, found in zip(expected, keras.tree.flatten(loaded(maps())), strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-5, atol=1e-6)


def test_groups_are_exported_as_plain_convolutions_that_run_alone(tmp_path: Path) -> None:
    inputs = keras.Input((7, 6, 6))
    grouped = GroupedConv2D(4, 3, groups=2, use_bias=False)(inputs)
    outputs = keras.layers.ReLU()(keras.layers.BatchNormalization()(grouped))
    model = keras.Model(inputs, outputs)
    x = maps().astype(np.float32)

    model.export(tmp_path / "saved", verbose=False)

    program = (
        "import sys; sys.modules['keras'] = sys.modules['tl'] = None; import numpy as np; "
        "import tensorflow as tf; folder = sys.argv[1]; "
        "loaded = tf.saved_model.load(folder + '/saved'); "
        "np.save(folder + '/y.npy', loaded.serve(tf.constant(np.load(folder + '/x.npy'))))"
    )
    np.save(tmp_path / "x.npy", x)
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x), rtol=1e-5, atol=1e-5)
    saved = SavedModel.FromString((tmp_path / "saved" / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    compiled = [one for one in functions if one.attr["_XlaMustCompile"].b]
    convolutions = [node for one in functions for node in one.node_def if node.op == "Conv2D"]
    assert not compiled
    assert len(convolutions) % 2 == 0 < len(convolutions)
