import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from tl.errors import WeightsError
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.load import compare_layers, load_backbone_weights, save_backbone_npz

SMALLEST = find_backbone("mobilenet_0.25")


def build(name: str = SMALLEST.name, side: int = 32) -> keras.Model:
    return build_backbone(find_backbone(name), (side, side))


def assert_same_weights(one: keras.Model, other: keras.Model, tolerance: float = 0) -> None:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    assert all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)


def keras_application(include_top: bool = False) -> keras.Model:
    return keras.applications.MobileNet(
        alpha=0.25, weights=None, include_top=include_top, input_shape=(32, 32, 3), classes=7
    )


@pytest.mark.parametrize("include_top", [False, True])
@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda model, folder: model.save(folder / "m.h5"), id="legacy"),
        pytest.param(lambda model, folder: model.save(folder / "m.keras"), id="keras"),
        pytest.param(lambda model, folder: model.save_weights(folder / "m.weights.h5"), id="h5"),
    ],
)
def test_every_layout_of_keras_loads_with_and_without_top(
    save: Callable[[keras.Model, Path], None], include_top: bool, tmp_path: Path
) -> None:
    theirs = keras_application(include_top)
    save(theirs, tmp_path)
    ours = build()

    load_backbone_weights(ours, next(tmp_path.iterdir()))

    expected = theirs.get_weights()[: len(ours.get_weights())]
    assert all(np.array_equal(a, b) for a, b in zip(expected, ours.get_weights(), strict=True))


def test_npz_comes_back_within_float16(tmp_path: Path) -> None:
    saved, loaded = build(), build()
    path = tmp_path / "folder" / "backbone.npz"

    save_backbone_npz(saved, path)
    load_backbone_weights(loaded, path)

    assert_same_weights(saved, loaded, tolerance=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["backbone.npz"]
    with np.load(path) as arrays:
        assert arrays["conv1_bn/moving_variance"].dtype == np.float16


def test_weights_beyond_float16_are_not_written(tmp_path: Path) -> None:
    model = build()
    model.get_layer("conv1_bn").moving_variance.assign(np.full(8, 1e6, np.float32))

    with pytest.raises(WeightsError, match="'conv1_bn', variable 'moving_variance'"):
        save_backbone_npz(model, tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []


def test_layers_numbered_by_keras_are_matched_by_their_order(tmp_path: Path) -> None:
    # Built one after the other in one process, the two count their layers differently.
    saved, loaded = build("xception", 71), build("xception", 71)
    assert {layer.name for layer in saved.layers} != {layer.name for layer in loaded.layers}

    save_backbone_npz(saved, tmp_path / "x.npz")
    load_backbone_weights(loaded, tmp_path / "x.npz")

    assert_same_weights(saved, loaded, tolerance=1e-3)


@pytest.fixture
def renamed(tmp_path: Path) -> tuple[keras.Model, Path]:
    """A model and its weights in a file that calls every layer otherwise."""
    model = build()
    arrays = {
        f"{layer.name.replace('conv', 'MobilenetV1/Conv')}/{variable.name}": variable.numpy()
        for layer in model.layers
        for variable in layer.weights
    }
    path = tmp_path / "renamed.npz"
    np.savez(path, **arrays)
    return model, path


def test_renamed_layers_are_matched_by_position(renamed: tuple[keras.Model, Path]) -> None:
    saved, path = renamed
    loaded = build()

    load_backbone_weights(loaded, path)

    assert_same_weights(saved, loaded)


def test_counted_layers_of_early_keras3_are_matched_by_class(tmp_path: Path) -> None:
    saved, loaded = build(), build()
    counts: dict[str, int] = {}
    arrays = {}
    for layer in saved.layers:
        kind = {"Conv2D": "conv2d", "DepthwiseConv2D": "depthwise_conv2d"}.get(
            type(layer).__name__, "batch_normalization"
        )
        for variable in layer.weights:
            name = f"{kind}_{counts[kind]}" if counts.get(kind) else kind
            arrays[f"{name}/{variable.name}"] = variable.numpy()
        counts[kind] = counts.get(kind, 0) + bool(layer.weights)
    np.savez(tmp_path / "x.npz", **dict(sorted(arrays.items(), key=lambda item: item[0][:5])))

    load_backbone_weights(loaded, tmp_path / "x.npz")

    assert_same_weights(saved, loaded)


def test_other_width_is_refused_with_both_shapes_and_nothing_is_assigned(tmp_path: Path) -> None:
    save_backbone_npz(build(), tmp_path / "quarter.npz")
    half = build("mobilenet_0.5")
    before = half.get_weights()

    with pytest.raises(WeightsError) as caught:
        load_backbone_weights(half, tmp_path / "quarter.npz")

    for words in ("layer 'conv1'", "(3, 3, 3, 16)", "(3, 3, 3, 8)", "quarter.npz"):
        assert words in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, half.get_weights(), strict=True))


def test_other_network_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    save_backbone_npz(build("mobilenet_v2_0.35"), tmp_path / "v2.npz")

    with pytest.raises(WeightsError, match=r"the first 'conv1'.*beginning with 'Conv1'"):
        load_backbone_weights(build(), tmp_path / "v2.npz")


def test_weights_of_a_diverged_run_are_refused(tmp_path: Path) -> None:
    model = build()
    arrays = {
        f"{layer.name}/{variable.name}": variable.numpy()
        for layer in model.layers
        for variable in layer.weights
    }
    arrays["conv1_bn/gamma"] = np.full(8, np.nan, np.float32)
    np.savez(tmp_path / "nan.npz", **arrays)

    with pytest.raises(WeightsError, match="'conv1_bn'.*did not diverge"):
        load_backbone_weights(model, tmp_path / "nan.npz")


def kernels_and_biases(model: keras.Model) -> dict[str, Any]:
    return {
        f"{layer.name}/{variable.name}": variable.numpy()
        for layer in model.layers
        for variable in layer.weights
    }


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_shapes_are_compared_before_anything_is_read(tmp_path: Path, ending: str) -> None:
    """A file of two kilobytes that declares twelve terabytes."""
    model, path, huge = build("lenet5"), tmp_path / f"bomb.{ending}", (10**6, 10**6, 3)
    if ending == "h5":
        with h5py.File(path, "w") as file:
            file.create_group("c1").create_dataset("kernel", huge, "f4", chunks=(1, 1, 3))
            file["c1"].attrs["weight_names"] = [b"kernel"]
            file.attrs["layer_names"] = [b"c1"]
    else:
        with zipfile.ZipFile(path, "w") as archive, archive.open("c1/kernel.npy", "w") as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": huge}
            np.lib.format.write_array_header_1_0(member, header)
    assert path.stat().st_size < 10_000

    matches = compare_layers(model, path).layers

    fault = "1000000x1000000x3 in place of 5x5x3x6, 6"
    assert [one.fault for one in matches] == [fault, "missing", "missing"]
    for partial in (False, True):
        with pytest.raises(WeightsError):
            load_backbone_weights(model, path, partial=partial)


@pytest.mark.parametrize(
    ("make", "fault", "message"),
    [
        (lambda one: np.full_like(one, np.nan), "values that are not finite", "did not diverge"),
        (lambda one: np.full(one.shape, 1e300), "values that are not finite", "did not diverge"),
        (lambda one: one.astype(np.int32), "int32 in place of floating", "int32 in place of"),
    ],
)
def test_what_verify_says_is_what_a_run_does(
    make: Callable[[np.ndarray], np.ndarray], fault: str, message: str, tmp_path: Path
) -> None:
    model, path = build("lenet5"), tmp_path / "x.npz"
    arrays = kernels_and_biases(model)
    np.savez(path, **{**arrays, "c1/kernel": make(arrays["c1/kernel"])})

    matches = compare_layers(model, path).layers

    assert [one.layer for one in matches if not one.fits] == ["c1"]
    assert str(matches[0].fault).startswith(fault)
    with pytest.raises(WeightsError, match=f"'c1'.*{message}"):
        load_backbone_weights(model, path)


def test_renamed_layers_fit_where_a_run_takes_them(renamed: tuple[keras.Model, Path]) -> None:
    found = compare_layers(build(), renamed[1])
    assert all(one.fits for one in found.layers)
    assert found.others == ()


def test_part_of_a_larger_network_is_refused(tmp_path: Path) -> None:
    # Every layer of plain34 is in resnet34, which has shortcuts besides.
    path = tmp_path / "resnet34.npz"
    save_backbone_npz(build("resnet34"), path)
    plain = build("plain34")
    before = plain.get_weights()[0]

    found = compare_layers(plain, path)

    assert all(one.fits for one in found.layers)
    assert found.foreign == tuple(f"stage{stage}_block1_shortcut" for stage in (2, 3, 4))
    with pytest.raises(WeightsError, match="larger network: 3 of its convolutions.*'stage2_block1"):
        load_backbone_weights(plain, path)
    assert np.array_equal(before, plain.get_weights()[0])
    load_backbone_weights(plain, path, partial=True)
    assert not np.array_equal(before, plain.get_weights()[0])


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5"])
def test_deeper_network_of_the_same_names_is_refused(name: str, tmp_path: Path) -> None:
    shape = (32, 32, 3)
    deeper = keras.applications.VGG19(weights=None, include_top=False, input_shape=shape)
    (deeper.save_weights if name == "m.weights.h5" else deeper.save)(tmp_path / name)

    with pytest.raises(WeightsError, match="larger network: 3 of its.*'block3_conv4'.*vgg16|vgg16"):
        load_backbone_weights(build("vgg16"), tmp_path / name)


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5"])
def test_network_that_is_the_beginning_of_another_takes_its_file(name: str, tmp_path: Path) -> None:
    whole = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=7)
    (whole.save_weights if name == "m.weights.h5" else whole.save)(tmp_path / name)
    first = build("tl_small")

    load_backbone_weights(first, tmp_path / name)

    for one in first.layers:
        if one.weights:
            theirs = whole.get_layer(one.name).get_weights()
            assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), theirs, strict=True))


def test_weights_of_a_run_serve_another_with_other_classes(trained: Any) -> None:
    from tl.classifier import build_classifier
    from tl.zoo.weights import resolve_weights

    row, path = find_backbone("tl_small"), trained.run / "classifier.weights.h5"

    new = build_classifier(
        row, n_classes=5, image_size=(32, 32), weights=resolve_weights(row, str(path)), dropout=0.0
    )

    theirs = {one.name: one for one in trained.result.model.layers}
    layers = [one for one in new.backbone.layers if one.weights]
    assert layers
    for layer in layers:
        for mine, other in zip(layer.get_weights(), theirs[layer.name].get_weights(), strict=True):
            assert np.array_equal(mine, other)
    assert new.model.output_shape == (None, 5)
    assert trained.result.model.output_shape == (None, 3)
