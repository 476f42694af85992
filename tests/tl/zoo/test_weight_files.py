import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tl.errors import WeightsError
from tl.zoo.weight_files import open_layers

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)
BIAS = np.arange(3, dtype=np.float32)


def read_layers(path: Path) -> dict[str, tuple[np.ndarray, ...]]:
    with open_layers(path) as layers:
        return {name: tuple(one.read() for one in found) for name, found in layers.items()}


def write_legacy(group: h5py.Group, layers: dict[str, dict[str, np.ndarray]]) -> None:
    group.attrs["layer_names"] = [name.encode() for name in layers]
    for layer, arrays in layers.items():
        layer_group = group.create_group(layer)
        layer_group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, array in arrays.items():
            layer_group[name] = array


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


@pytest.mark.parametrize("root", ["/", "model_weights"])
def test_legacy_layers_come_in_the_order_of_the_file(tmp_path: Path, root: str) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        write_legacy(
            file.require_group(root),
            {"z": {"z/kernel:0": KERNEL, "z/bias:0": BIAS}, "relu": {}, "a": {"a_W_1:0": KERNEL}},
        )

    layers = read_layers(path)

    assert list(layers) == ["z", "a"]
    np.testing.assert_array_equal(layers["z"][0], KERNEL)
    np.testing.assert_array_equal(layers["z"][1], BIAS)


def test_layers_of_a_nested_legacy_model_stand_on_their_own(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    arrays = {"conv1/kernel:0": KERNEL, "conv2/kernel:0": BIAS}
    with h5py.File(path, "w") as file:
        write_legacy(file, {"mobilenet_1.00_224": arrays})

    assert list(read_layers(path)) == ["conv1", "conv2"]


def test_name_lists_longer_than_an_attribute_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, {"a": {"a/kernel:0": KERNEL}, "b": {"b/kernel:0": BIAS}})
        del file.attrs["layer_names"]
        file.attrs["layer_names0"] = [b"a"]
        file.attrs["layer_names1"] = [b"b"]

    assert list(read_layers(path)) == ["a", "b"]


def test_keras3_layers_are_counted_by_class_unless_they_record_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        for number in range(11):
            group = file.create_group(f"layers/dense{f'_{number}' if number else ''}/vars")
            group["0"] = np.full(1, number, np.float32)
        file["layers/dense_10/vars"].attrs["name"] = "head"
        file.create_group("optimizer/vars")["0"] = KERNEL

    layers = read_layers(path)

    assert list(layers) == [*["dense", *(f"dense_{n}" for n in range(1, 10))], "head"]
    assert [arrays[0][0] for arrays in layers.values()] == list(range(11))


def test_only_the_weights_of_a_keras_file_are_read(tmp_path: Path) -> None:
    weights = tmp_path / "model.weights.h5"
    with h5py.File(weights, "w") as file:
        file.create_group("layers/dense/vars")["0"] = KERNEL
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(weights, "model.weights.h5")
        archive.writestr("config.json", "this is not even JSON")

    assert list(read_layers(path)) == ["dense"]


def test_npz_layers_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    write_npz(path, {"z/kernel": KERNEL, "z/bias": BIAS, "a/kernel": KERNEL})

    layers = read_layers(path)

    assert list(layers) == ["z", "a"]
    assert [array.shape for array in layers["z"]] == [(2, 3), (3,)]


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, allow_pickle=True, **{"a/kernel": np.array([{"a": 1}], dtype=object)})

    with pytest.raises(WeightsError, match="pickles are never loaded"):
        read_layers(path)


def test_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"a": KERNEL}))

    with pytest.raises(WeightsError, match="Pickled weights are never loaded"):
        read_layers(path)


def test_text_is_not_a_weights_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")

    with pytest.raises(WeightsError, match="is not a weights file: it begins with b'version"):
        read_layers(path)


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_cut_off_file_is_said_to_be_cut_off(tmp_path: Path, suffix: str) -> None:
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".h5":
        with h5py.File(whole, "w") as file:
            write_legacy(file, {"a": {"a/kernel:0": np.zeros((100, 100), np.float32)}})
    else:
        write_npz(whole, {"a/kernel": np.zeros((100, 100), np.float32)})
    path.write_bytes(whole.read_bytes()[:20_000])

    with pytest.raises(WeightsError, match="cut off or damaged"):
        read_layers(path)


def test_arrays_kept_in_another_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    (tmp_path / "secret").write_bytes(bytes(12))
    with h5py.File(path, "w") as file:
        write_legacy(file, {"a": {}})
        file["a"].create_dataset("w", (3,), "f4", external=[(str(tmp_path / "secret"), 0, 12)])
        file["a"].attrs["weight_names"] = [b"w"]

    with pytest.raises(WeightsError, match="stored in another file"):
        read_layers(path)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("layout", ["legacy", "keras3"])
def test_links_into_another_file_are_not_followed(tmp_path: Path, layout: str, soft: bool) -> None:
    path, other = tmp_path / "weights.h5", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file.create_group("vars")["0"] = KERNEL
    link = h5py.ExternalLink(str(other), "/vars")
    with h5py.File(path, "w") as file:
        at = file.require_group("layers/dense") if layout == "keras3" else file
        if layout == "legacy":
            write_legacy(file, {"dense": {}})
            at = file["dense"]
            at.attrs["weight_names"] = [b"vars/0"]
        if soft:
            file["elsewhere"] = link
            link = h5py.SoftLink("/elsewhere")
        at["vars"] = link

    with pytest.raises(WeightsError, match="is a link"):
        read_layers(path)


def test_virtual_arrays_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "weights.h5", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = BIAS
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "x", (3,))
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars").create_virtual_dataset("0", layout)

    with pytest.raises(WeightsError, match="stored in another file"):
        read_layers(path)


def test_odd_structure_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        write_legacy(file, {"dense": {}})
        file["dense"].attrs["weight_names"] = 7
    with pytest.raises(WeightsError, match="cut off or damaged"):
        read_layers(path)
    with h5py.File(path, "w") as file:
        write_legacy(file, {"dense": {}})
        file["dense"].create_group("kernel")
        file["dense"].attrs["weight_names"] = [b"kernel"]
    with pytest.raises(WeightsError, match="is no array"):
        read_layers(path)


def test_groups_of_several_names_are_refused_and_not_walked_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        for _ in range(45):  # 2^45 ways to the innermost
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
        group["vars/0"] = KERNEL
    with pytest.raises(WeightsError, match="has several names"):
        read_layers(path)


def test_file_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "measurements"

    with pytest.raises(WeightsError, match="holds no weights"):
        read_layers(path)


def test_other_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat.jpg", b"")

    with pytest.raises(WeightsError, match=r"no model\.weights\.h5"):
        read_layers(path)
