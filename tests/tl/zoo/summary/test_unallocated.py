"""Networks are described without memory for their weights, and quickly."""

import gc
import time

import keras
import numpy as np
import psutil
import pytest
from keras.src.backend.common import global_state

from tl.errors import ConfigError
from tl.zoo.backbones import find_backbone
from tl.zoo.summary.described import describe
from tl.zoo.summary.networks import described_network, unallocated_network
from tl.zoo.summary.unallocated import unallocated


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def test_vgg16_takes_neither_two_seconds_nor_its_553_megabytes() -> None:
    row = find_backbone("vgg16")
    unallocated_network(row)  # what Keras keeps of any first network is not the weights
    gc.collect()
    before = resident_mb()
    started = time.monotonic()

    found = describe(row)

    assert time.monotonic() - started < 2
    assert resident_mb() - before < 50
    assert found.network.parameters.total == 138_357_544


def test_no_variable_has_a_value() -> None:
    model = unallocated_network(find_backbone("mobilenet_v2"))

    assert len(model.weights) > 200
    assert all(variable._value is None for variable in model.weights)
    assert model.count_params() == 3_538_984


def test_nothing_is_allocated_later_either() -> None:
    waiting = list(global_state.get_global_attribute("uninitialized_variables") or ())
    with unallocated():
        inputs = keras.Input((4, 4, 3))
        model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs))

    with keras.StatelessScope():
        pass  # at its end Keras allocates whatever waits for it

    assert all(variable._value is None for variable in model.weights)
    assert (global_state.get_global_attribute("uninitialized_variables") or []) == waiting


def test_networks_that_are_built_afterwards_can_run() -> None:
    with pytest.raises(RuntimeError), unallocated():
        raise RuntimeError("in the middle")

    model = described_network(find_backbone("lenet5"))

    assert np.asarray(model(np.zeros((1, 32, 32, 3), "float32"))).shape == (1, 10)


def test_a_size_or_channels_that_no_network_takes_are_refused() -> None:
    vgg = find_backbone("vgg16")

    with pytest.raises(ConfigError, match="31x224 are too small for vgg16.*32x32"):
        unallocated_network(vgg, (31, 224))
    with pytest.raises(ConfigError, match="too large: pass --input 16384 or less"):
        unallocated_network(vgg, (224, 16_385))
    with pytest.raises(ConfigError, match="1 channel .* or 3 .* not 4"):
        unallocated_network(vgg, channels=4)
    with pytest.raises(ConfigError, match="as a backbone vgg16 takes RGB"):
        unallocated_network(vgg, channels=1, features=True)
    assert unallocated_network(find_backbone("lenet5"), channels=1).count_params() == 61_706


def test_names_do_not_depend_on_what_was_built_before() -> None:
    with unallocated():
        first = keras.layers.Dense(1).name
    before = keras.layers.Dense(1).name
    with unallocated():
        second = keras.layers.Dense(1).name
    after = keras.layers.Dense(1).name

    assert first == second == "dense"
    assert after == f"dense_{int(before.partition('_')[2] or 0) + 1}"
