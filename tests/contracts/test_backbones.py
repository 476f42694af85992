"""What every backbone of the table must be and do, held against the installed Keras.

The default run takes a few small rows, one of each way to scale pixels; `-m slow` takes more, and
`-m soak` those of which building one takes long.
"""

import gc
import importlib
import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import resnet as keras_resnet

from tl.zoo.backbones import BACKBONES, Backbone, find_backbone
from tl.zoo.build import CLASSICS, build_backbone
from tl.zoo.classic.style import PAPER_STYLES
from tl.zoo.load import load_backbone_weights
from tl.zoo.published import PublishedPair
from tl.zoo.stages import feature_maps, stage_outputs, stages

QUICK = ("tl_small", "mobilenet_v3_small", "efficientnet_b0", "vgg16")
QUICK_CLASSICS = ("lenet5", "alexnet", "zfnet", "googlenet", "allconv", "resnet18")
# One row of each family that is built or scaled in a way of its own.
COMPARED_WITH_KERAS = (
    "mobilenet",  # tl_small's full length
    *QUICK[1:],
    "densenet121",
    "mobilenet_v2_0.35",
    "efficientnet_v2_b0",
    "efficientnet_v2_s",
    "nasnet_mobile",
    "resnet50",
    "resnet50_v2",
    "inception_resnet_v2",
    "xception",
    "convnext_tiny",
)


OF_KERAS = tuple(row for row in BACKBONES.values() if row.keras_class)
# The strides that a backbone has where it has not all four.
COARSEST = {"tl_small": 16, "lenet5": 4, "allconv": 4}
LONG = ("nasnet_mobile", "inception_resnet_v2", "efficientnet_v2_s")
MANY_PARAMETERS = 40_000_000


def slow_unless_quick(names: tuple[str, ...], quick: tuple[str, ...]) -> list[Any]:
    def mark(name: str) -> Any:
        if name in quick:
            return ()
        is_long = name in LONG or find_backbone(name).parameters > MANY_PARAMETERS
        return pytest.mark.soak if is_long else pytest.mark.slow

    return [pytest.param(name, marks=mark(name)) for name in names]


@pytest.fixture(autouse=True)
def _forget_models() -> Iterator[None]:
    yield
    keras.backend.clear_session()
    gc.collect()


def test_table_has_every_model_of_keras_applications() -> None:
    theirs = {name for name in dir(keras.applications) if name[0].isupper()}

    assert {backbone.keras_class for backbone in OF_KERAS} == theirs


def test_every_row_is_built_by_keras_or_by_a_classic() -> None:
    assert all((row.keras_class is None) != (row.classic is None) for row in BACKBONES.values())
    assert {row.classic for row in BACKBONES.values()} == {None, *CLASSICS} == {None, *PAPER_STYLES}


def test_digests_are_those_of_keras() -> None:
    # One text of all modules: some digests of ResNetV2 stand in the module of ResNet.
    modules = {_module_of(backbone) for backbone in OF_KERAS}
    source = "".join(inspect.getsource(module) for module in (*modules, keras_resnet))
    for backbone in OF_KERAS:
        for file in backbone.weights_files or ():
            assert file.digest is None or file.digest in source, backbone.name


@pytest.mark.parametrize(
    "name", slow_unless_quick(tuple(BACKBONES), (*QUICK, *QUICK_CLASSICS, "densenet121"))
)
def test_row_says_what_is_built(name: str) -> None:
    backbone = find_backbone(name)
    side = backbone.minimum_size

    model = build_backbone(backbone, (side, side + 16))
    features = np.asarray(model(np.zeros((1, side, side + 16, 3), np.uint8), training=False))

    assert model.count_params() == backbone.parameters
    assert features.shape == (1, backbone.feature_size)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    coarsest = COARSEST.get(name, 32)
    _check_stages(model, coarsest)
    _check_feature_maps(model, coarsest, (side, side + 16))


def _check_stages(model: keras.Model, last_stride: int) -> None:
    found = stages(model)
    layers = [layer.name for layer in model.layers]
    grouped = [name for stage in found for name in stage.layer_names]
    assert sorted(grouped) == sorted(set(layers) - {"image"})
    strides = [stage.stride for stage in found]
    assert strides == sorted(set(strides))
    assert strides[-1] == last_stride
    assert all(math.log2(stride).is_integer() for stride in strides)
    for stage, output in zip(found, stage_outputs(model), strict=True):
        assert len(output.shape) == 4
        assert any(model.get_layer(name).weights for name in stage.layer_names)


def _check_feature_maps(model: keras.Model, coarsest: int, size: tuple[int, int]) -> None:
    maps = feature_maps(model)
    strides = [int(name.removeprefix("stride_")) for name in maps]
    assert strides == sorted(strides)
    assert {stride for stride in (4, 8, 16, 32) if stride <= coarsest} <= set(strides)
    assert strides[-1] == coarsest
    keras.Model(model.input, maps)  # all of them can be read at once
    for stride, one in zip(strides, maps.values(), strict=True):
        _, *sides, channels = one.shape
        assert channels > 1
        # Rounded up where borders are padded; where they are cut, each layer takes some off.
        for found, pixels in zip(sides, size, strict=True):
            assert 1 <= found <= math.ceil(pixels / stride)
            assert found * stride > pixels - 80


@pytest.mark.parametrize(
    "name", slow_unless_quick(COMPARED_WITH_KERAS, ("mobilenet_0.5", *QUICK[1:]))
)
def test_features_equal_those_of_keras_with_the_same_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = find_backbone(name)
    side = max(64, backbone.minimum_size)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype(np.float32)
    theirs = _random_application(backbone, side)
    theirs.save(tmp_path / "weights.h5")
    if backbone.preprocessing == "inside":
        theirs = _loaded_as_imagenet(backbone, side, tmp_path / "weights.h5", monkeypatch)
    ours = build_backbone(backbone, (side, side))

    load_backbone_weights(ours, tmp_path / "weights.h5")

    scaled = _module_of(backbone).preprocess_input(pixels.copy())
    expected = np.asarray(theirs(scaled, training=False))
    assert expected.std() > 1e-4
    tolerance = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(ours(pixels, training=False), expected, rtol=0, atol=tolerance)


def _random_application(backbone: Backbone, side: int) -> keras.Model:
    """Build Keras' own model as a user would, with weights in which no two arrays are equal."""
    arguments = {
        key: value for key, value in backbone.arguments.items() if key != "include_preprocessing"
    }
    model = _function_of(backbone)(
        include_top=False, weights=None, input_shape=(side, side, 3), pooling="avg", **arguments
    )
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            # As in the published files: the standard deviation, where Keras wants a variance.
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.229, 0.224, 0.225])
    return model


def _loaded_as_imagenet(
    backbone: Backbone, side: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> keras.Model:
    """Let Keras load a file as if it had downloaded it."""
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(path))
    return _function_of(backbone)(
        include_top=False, weights="imagenet", input_shape=(side, side, 3), pooling="avg"
    )


class _WouldDownload(Exception):
    """Stops Keras where it would download, and carries what."""


@pytest.mark.parametrize(
    "name",
    slow_unless_quick(
        (
            *("mobilenet_0.25", "mobilenet_v2_1.4", "mobilenet_v3_large", "efficientnet_v2_b0"),
            *("efficientnet_b0", "nasnet_mobile", "densenet121", "resnet50", "resnet50_v2"),
            *("inception_v3", "inception_resnet_v2", "xception", "vgg16", "convnext_tiny"),
        ),
        ("mobilenet_0.25", "mobilenet_v2_1.4"),
    ),
)
def test_files_are_those_that_keras_would_download(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_file(fname: str, origin: str, cache_subdir: str, file_hash: str | None = None) -> str:
        raise _WouldDownload(fname, origin, file_hash)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    backbone = find_backbone(name)

    assert _files_keras_wants(backbone) == [
        (file.name, file.url, file.digest) for file in backbone.published_files()
    ]


def _files_keras_wants(backbone: Backbone) -> list[tuple[str, str, str | None]]:
    wanted = []
    height, width = backbone.image_size
    for include_top in (False, True):
        with pytest.raises(_WouldDownload) as caught:
            _function_of(backbone)(
                weights="imagenet",
                include_top=include_top,
                input_shape=(height, width, 3),
                **backbone.arguments,
            )
        wanted.append(caught.value.args)
    return wanted


def test_no_two_rows_share_weights_but_the_shipped_one() -> None:
    pairs: dict[PublishedPair, list[str]] = {}
    for backbone in OF_KERAS:
        assert backbone.weights_files is not None
        pairs.setdefault(backbone.weights_files, []).append(backbone.name)

    assert [names for names in pairs.values() if len(names) > 1] == [["tl_small", "mobilenet"]]


def _module_of(backbone: Backbone) -> Any:
    return importlib.import_module(_function_of(backbone).__module__)


def _function_of(backbone: Backbone) -> Any:
    assert backbone.keras_class is not None
    return getattr(keras.applications, backbone.keras_class)
