"""Read the arrays of a weights file, whatever tool wrote it, without executing anything in it.

Receives a path, gives the arrays grouped by layer. Keras' own readers need a built model, assign
while they read and accept pickles in some layouts; here the arrays come out first, so that they
can be compared with the model before a single one is assigned.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tl.errors import WeightsError

LayerArrays = dict[str, tuple[NDArray[Any], ...]]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
_WEIGHTS_IN_KERAS_FILE = "model.weights.h5"


def read_layers(path: Path) -> LayerArrays:
    """Read the arrays of every layer in a weights file.

    Understood are Keras' legacy HDF5 (weights or a whole model), Keras 3 ``.weights.h5``,
    ``.keras`` (its weights only, never its config) and the ``.npz`` that ``tl`` writes. The
    content decides, not the suffix.

    Args:
        path: the file.

    Returns:
        Layer name -> its arrays in Keras' order (for BatchNormalization: gamma, beta, mean,
        variance). Layers come in the order of the model where the file records it. Layers inside
        a nested model stand beside the others, under their own name.

    Raises:
        WeightsError: unreadable, cut off, not a weights file, or empty.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_HDF5_MAGIC))
        if magic == _HDF5_MAGIC:
            with h5py.File(path, "r") as opened:
                layers = _read_hdf5(opened)
        elif magic.startswith(_ZIP_MAGIC):
            layers = _read_zip(path)
        else:
            raise WeightsError(
                f"{path} is not a weights file: it begins with {magic!r}, which is neither HDF5 "
                "(.h5, .weights.h5) nor a zip (.keras, .npz). Pickled weights are never loaded; "
                "save them from Keras with model.save_weights('x.weights.h5')."
            )
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} cannot be read as weights; it may be cut off or damaged ({error}). "
            "Copy or download it again."
        ) from error
    if not layers:
        raise WeightsError(f"{path} holds no weights of any layer. Pass a file with weights.")
    return layers


def _read_zip(path: Path) -> LayerArrays:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if _WEIGHTS_IN_KERAS_FILE in names:
            with (
                archive.open(_WEIGHTS_IN_KERAS_FILE) as weights,
                h5py.File(weights, "r") as opened,
            ):
                return _read_hdf5(opened)
    if not all(name.endswith(".npy") for name in names):
        raise ValueError(f"a zip with {names[:3]}, but no {_WEIGHTS_IN_KERAS_FILE}")
    layers: dict[str, list[NDArray[Any]]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            layer, _, _ = key.rpartition("/")
            layers.setdefault(layer, []).append(arrays[key])
    return {layer: tuple(found) for layer, found in layers.items()}


def _read_hdf5(opened: h5py.File) -> LayerArrays:
    root = opened.get("model_weights", opened)
    layer_names = _name_list(root, "layer_names")
    if layer_names:
        return dict(_legacy_layers(root, layer_names))
    return dict(_keras3_layers(opened))


def _name_list(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names; HDF5 limits an attribute to 64 KB, so Keras splits long ones."""
    chunks = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(chunks)}" in group.attrs:
        chunks.append(f"{attribute}{len(chunks)}")
    names = (name for chunk in chunks for name in group.attrs[chunk])
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _legacy_layers(
    root: h5py.Group, layer_names: list[str]
) -> Iterator[tuple[str, tuple[NDArray[Any], ...]]]:
    for layer_name in layer_names:
        group = root[layer_name]
        weight_names = _name_list(group, "weight_names")
        if not weight_names:
            continue
        # A nested model is one group; its weights are named "<inner layer>/<variable>".
        by_leaf: dict[str, list[NDArray[Any]]] = {}
        for weight_name in weight_names:
            leaf = weight_name.rpartition("/")[0].rpartition("/")[2]
            by_leaf.setdefault(leaf, []).append(_array(group[weight_name]))
        if len(by_leaf) == 1:
            yield layer_name, tuple(next(iter(by_leaf.values())))
        else:
            for leaf, arrays in by_leaf.items():
                yield leaf or layer_name, tuple(arrays)


def _keras3_layers(group: h5py.Group) -> Iterator[tuple[str, tuple[NDArray[Any], ...]]]:
    """Walk the groups of Keras 3, whose paths count layers by class (conv2d, conv2d_1, ...)."""
    for key in sorted(group, key=_numbered):
        child = group[key]
        # The optimizer's slots have the shapes of the weights; they are not weights.
        if not isinstance(child, h5py.Group) or key == "optimizer":
            continue
        if key == "vars":
            arrays = tuple(_array(child[name]) for name in sorted(child, key=_numbered))
            if arrays:
                recorded = child.attrs.get("name", group.name.rpartition("/")[2])
                yield str(recorded), arrays
        else:
            yield from _keras3_layers(child)


def _numbered(name: str) -> tuple[str, int]:
    """Sort key that puts conv2d before conv2d_1 and conv2d_9 before conv2d_10."""
    match = re.fullmatch(r"(.*?)_?(\d+)?", name)
    stem, number = match.groups() if match else (name, None)
    return stem, int(number or 0)


def _array(dataset: h5py.Dataset) -> NDArray[Any]:
    # External storage would make the file read other files of the machine.
    if dataset.external:
        raise ValueError(f"array {dataset.name!r} is stored in another file")
    return np.asarray(dataset[()])
