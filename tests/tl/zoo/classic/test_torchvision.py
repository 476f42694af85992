"""The residual networks give the logits of torchvision's with the same weights.

torchvision is not among the dependencies: TL_TORCHVISION_PYTHON names the Python of an environment
that has it (docs/zoo.md says how to make one).
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tl.zoo.build import CLASSICS

REFERENCE = Path(__file__).with_name("torchvision_reference.py")
PYTHON_VARIABLE = "TL_TORCHVISION_PYTHON"
Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="session")
def torchvision_python() -> str:
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return named
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip(f"no torchvision here; {PYTHON_VARIABLE} names a Python that has it")
    return sys.executable


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs"),
    [("resnet18", "resnet18"), ("resnet34", "resnet34"), ("resnext50", "resnext50_32x4d")],
)
def test_logits_are_those_of_torchvision(
    name: str, theirs: str, tmp_path: Path, torchvision_python: str
) -> None:
    file = tmp_path / "reference.npz"
    subprocess.run([torchvision_python, str(REFERENCE), theirs, str(file)], check=True, timeout=300)
    reference = dict(np.load(file))
    pixels = keras.Input(reference["pixels"].shape[1:])
    model = keras.Model(pixels, CLASSICS[name](pixels, classes=1000))

    used = copy_weights(model, reference)

    counters = {key for key in reference if key.endswith("num_batches_tracked")}
    assert used | counters | {"pixels", "logits"} == set(reference)
    logits = np.asarray(model(reference["pixels"], training=False))
    assert 0.1 < reference["logits"].std() < 10
    np.testing.assert_allclose(logits, reference["logits"], rtol=0, atol=1e-4)


def copy_weights(model: keras.Model, reference: Arrays) -> set[str]:
    """Assign torchvision's weights layer by layer, and return the names that were used."""
    used: set[str] = set()
    for layer in model.layers:
        if layer.weights:
            keys = [f"{their_name(layer.name)}.{leaf}" for leaf in leaves(layer)]
            layer.set_weights([as_keras(reference[key]) for key in keys])
            used.update(keys)
    return used


def their_name(name: str) -> str:
    """Turn ``stage2_block1_shortcut_norm`` into ``layer2.0.downsample.1``."""
    if name == "logits":
        return "fc"
    is_norm = name.endswith("_norm")
    *place, layer = name.removesuffix("_norm").split("_")
    prefix = ""
    if place:
        stage, block = (int(part.lstrip("stageblock")) for part in place)
        prefix = f"layer{stage}.{block - 1}."
    if layer == "shortcut":
        return f"{prefix}downsample.{int(is_norm)}"
    return f"{prefix}{layer.replace('conv', 'bn') if is_norm else layer}"


def leaves(layer: Any) -> tuple[str, ...]:
    if isinstance(layer, keras.layers.BatchNormalization):
        return ("weight", "bias", "running_mean", "running_var")
    return ("weight", "bias") if layer.use_bias else ("weight",)


def as_keras(array: NDArray[Any]) -> NDArray[Any]:
    """Turn (out, in, height, width) into (height, width, in, out), and (out, in) likewise."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T
