import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tl.errors import ConfigError
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.load import load_backbone_weights, save_backbone_npz
from tl.zoo.weights import resolve_weights

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)


def features(model: keras.Model, images: np.ndarray = PIXELS) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def test_model_is_flat_and_takes_its_own_size_by_default() -> None:
    backbone = find_backbone("tl_small")

    model = build_backbone(backbone)

    assert model.input.shape == (None, *backbone.image_size, 3)
    assert model.output.shape == (None, backbone.feature_size)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert [layer.name for layer in model.layers][-1] == "features"


def test_bytes_and_floats_give_the_same_features() -> None:
    model = build_backbone(find_backbone("tl_small"), (64, 48))

    np.testing.assert_array_equal(features(model), features(model, PIXELS.astype(np.float32)))


@pytest.mark.parametrize(("name", "image_size"), [("tl_small", (31, 64)), ("xception", (90, 70))])
def test_too_small_an_image_is_refused_with_the_minimum(
    name: str, image_size: tuple[int, int]
) -> None:
    backbone = find_backbone(name)

    with pytest.raises(ConfigError, match=f"{name}: it needs at least {backbone.minimum_size}x"):
        build_backbone(backbone, image_size)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tl_small", pytest.param("googlenet", marks=pytest.mark.soak)])
def test_jax_gives_the_same_features(name: str, tmp_path: Path) -> None:
    model = build_backbone(find_backbone(name), (64, 48))
    save_backbone_npz(model, tmp_path / "x.npz")
    load_backbone_weights(model, tmp_path / "x.npz")
    np.save(tmp_path / "pixels.npy", PIXELS)

    subprocess.run(
        [sys.executable, "-c", _ON_JAX, name, str(tmp_path)],
        check=True,
        timeout=300,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    )

    expected = features(model)
    found = np.load(tmp_path / "features.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


_ON_JAX = """
import sys
import keras
import numpy as np
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.weights import resolve_weights

assert keras.backend.backend() == "jax"
name, folder = sys.argv[1:]
backbone = find_backbone(name)
weights = resolve_weights(backbone, f"{folder}/x.npz")
model = build_backbone(backbone, (64, 48), weights)
np.save(f"{folder}/features.npy", model.predict(np.load(f"{folder}/pixels.npy"), verbose=0))
"""


def test_weights_are_loaded(tmp_path: Path) -> None:
    backbone = find_backbone("tl_small")
    saved = build_backbone(backbone, (64, 48))
    save_backbone_npz(saved, tmp_path / "x.npz")

    weights = resolve_weights(backbone, str(tmp_path / "x.npz"))
    loaded = build_backbone(backbone, (64, 48), weights)

    np.testing.assert_allclose(features(loaded), features(saved), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", ["tl_small", "efficientnet_b0"])
def test_features_are_float32_and_near_under_mixed_precision(name: str) -> None:
    backbone = find_backbone(name)
    reference = build_backbone(backbone, (64, 48))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = build_backbone(backbone, (64, 48))
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(reference.get_weights())

    expected, found = features(reference), features(mixed)

    assert found.dtype == np.float32
    assert mixed.get_layer("features").compute_dtype == "float32"
    # bfloat16 has 8 bits; rounding errors of the layers add up.
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["vgg16", pytest.param("efficientnet_b0", marks=pytest.mark.slow)])
def test_model_survives_saving(name: str, tmp_path: Path) -> None:
    model = build_backbone(find_backbone(name), (64, 48))
    model.save(tmp_path / "x.keras")

    loaded = keras.saving.load_model(tmp_path / "x.keras")

    np.testing.assert_allclose(features(loaded), features(model), rtol=1e-5, atol=1e-6)


def test_shipped_backbone_pools_its_blocks_by_mean_and_standard_deviation() -> None:
    backbone = find_backbone("tl_small")
    model = build_backbone(backbone, (64, 48))
    maps = keras.Model(
        model.input, [model.get_layer(name).output for name in backbone.feature_layers]
    )(PIXELS.astype("float32"))

    expected = [np.mean(one, axis=(1, 2)) for one in maps]
    expected += [np.sqrt(np.var(one, axis=(1, 2)) + 1e-3) for one in maps]

    np.testing.assert_allclose(features(model), np.concatenate(expected, axis=1), atol=1e-5)
