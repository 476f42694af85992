"""Rows, order, totals and memory of small networks that are easily counted by hand."""

import keras
import pytest

from tl.zoo.summary.network import memory_of, summarise

layers = keras.layers


def test_one_branch_is_listed_after_the_other() -> None:
    inputs = keras.Input((8, 8, 3), name="picture")
    left = layers.Conv2D(2, 1, name="left_2")(layers.Conv2D(2, 1, name="left_1")(inputs))
    right = layers.Conv2D(2, 1, name="right_1")(inputs)
    both = layers.Add(name="both")([left, right])

    found = summarise(keras.Model(inputs, both)).layers

    assert [one.name for one in found] == ["picture", "left_1", "left_2", "right_1", "both"]
    assert found[-1].inputs == ("left_2", "right_1")


def test_layers_of_nested_networks_are_listed_with_its_name() -> None:
    inner_inputs = keras.Input((4, 4, 3))
    inner = keras.Model(
        inner_inputs, layers.Conv2D(5, 3, padding="same", name="conv")(inner_inputs), name="stem"
    )
    row = keras.Sequential([keras.Input((4, 4, 5)), layers.Conv2D(7, 1, name="last")], name="row")
    inputs = keras.Input((4, 4, 3), name="picture")
    model = keras.Model(inputs, row(inner(inputs)))

    found = summarise(model)

    assert [one.name for one in found.layers] == ["picture", "stem/conv", "row/last"]
    assert found.layers[-1].inputs == ("stem/conv",)
    assert found.parameters.total == model.count_params()
    assert found.multiply_adds == 16 * (27 * 5 + 35)


def test_a_layer_that_is_used_twice_has_its_weights_once_and_its_work_twice() -> None:
    inputs = keras.Input((4, 4, 3), name="picture")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))

    found = summarise(model)

    assert [one.name for one in found.layers] == ["picture", "shared", "shared:2"]
    assert found.parameters.total == model.count_params() == 84
    assert found.multiply_adds == 2 * 16 * 81


def test_memory_of_a_batch() -> None:
    inputs = keras.Input((4, 4, 2))  # 32 values
    x = layers.Conv2D(4, 1)(inputs)  # 64 values, 8 + 4 parameters
    x = layers.BatchNormalization()(x)  # 64 values, 8 + 8 parameters
    x = layers.Dense(3)(layers.Flatten()(x))  # 3 values, 192 + 3 parameters; flattening is a view
    found = summarise(keras.Model(inputs, x))

    memory = memory_of(found, batch=10)

    assert found.elements == 32 + 64 + 64 + 3
    assert found.peak_elements == 64 + 64
    assert memory.parameters == 4 * (12 + 16 + 195)
    assert memory.running == 10 * 4 * 128
    assert memory.gradients == 4 * (12 + 8 + 195)
    assert memory.moments == 2 * memory.gradients
    assert memory.activations == 10 * 4 * 163
    assert memory.forward == memory.parameters + memory.running
    assert memory.training == 4 * memory.gradients + 4 * 8 + memory.activations


def test_what_a_shortcut_carries_is_kept_until_it_is_added() -> None:
    inputs = keras.Input((2, 2, 1))  # 4 values
    x = layers.Conv2D(5, 1)(inputs)  # 20 values
    inner = layers.Conv2D(5, 1)(layers.Conv2D(3, 1)(x))  # 12, then 20 values
    found = summarise(keras.Model(inputs, layers.Add()([x, inner])))  # 20 values

    assert found.peak_elements == 20 + 20 + 20


def test_a_network_without_a_fixed_size_is_refused() -> None:
    inputs = keras.Input((None, None, 3))

    with pytest.raises(ValueError, match="fixed input size"):
        summarise(keras.Model(inputs, layers.Conv2D(3, 1)(inputs)))


def test_several_outputs_are_all_followed() -> None:
    inputs = keras.Input((4, 4, 3), name="picture")
    outputs = {"one": layers.Conv2D(1, 1, name="one")(inputs),
               "two": layers.Conv2D(1, 1, name="two")(inputs)}  # fmt: skip

    assert [one.name for one in summarise(keras.Model(inputs, outputs)).layers] == [
        "picture", "one", "two",
    ]  # fmt: skip
