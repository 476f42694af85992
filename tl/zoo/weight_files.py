"""Open the arrays of a weights file, whatever tool wrote it, without executing anything in it.

Receives a path, gives the arrays grouped by layer. Keras' own readers need a built model, assign
while they read and accept pickles in some layouts. Here shapes come first and values when they are
asked for: a file of two kilobytes can declare an array of terabytes.
"""

import contextlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tl.errors import WeightsError


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """An array in an open file of weights.

    Attributes:
        shape: as the file declares it.
        dtype: as the file declares it.
        read: gives its values; raises WeightsError where they are damaged.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


StoredLayers = dict[str, tuple[StoredArray, ...]]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
_WEIGHTS_IN_KERAS_FILE = "model.weights.h5"
# What h5py, numpy and zipfile raise of a file that is not as it should be.
_DAMAGE = (
    OSError, LookupError, ValueError, TypeError, RuntimeError, EOFError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@contextlib.contextmanager
def open_layers(path: Path) -> Iterator[StoredLayers]:
    """Open the arrays of every layer in a weights file.

    Understood are Keras' legacy HDF5 (weights or a whole model), Keras 3 ``.weights.h5``,
    ``.keras`` (its weights only, never its config) and the ``.npz`` that ``tl`` writes. The
    content decides, not the suffix. Nothing outside of the file is read, whatever it refers to.

    Args:
        path: the file.

    Yields:
        Layer name -> its arrays in Keras' order (for BatchNormalization: gamma, beta, mean,
        variance), to be read while the block lasts. Layers come in the order of the model where
        the file records it. Layers inside a nested model stand beside the others, under their own
        name.

    Raises:
        WeightsError: unreadable, cut off, not a weights file, or empty.
    """
    with contextlib.ExitStack() as stack:
        with _damage_in(path):
            layers = _opened(path, stack)
        if not layers:
            raise WeightsError(f"{path} holds no weights of any layer. Pass a file with weights.")
        yield {name: tuple(_named(path, one) for one in found) for name, found in layers.items()}


@contextlib.contextmanager
def _damage_in(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise WeightsError(
            f"{path} cannot be read as weights; it may be cut off or damaged ({error}). "
            "Copy or download it again."
        ) from error


def _named(path: Path, array: StoredArray) -> StoredArray:
    """Return the array with a ``read`` whose errors name the file."""

    def read() -> NDArray[Any]:
        with _damage_in(path):
            return array.read()

    return replace(array, read=read)


def _opened(path: Path, stack: contextlib.ExitStack) -> StoredLayers:
    with path.open("rb") as file:
        magic = file.read(len(_HDF5_MAGIC))
    if magic == _HDF5_MAGIC:
        return _hdf5_layers(stack.enter_context(h5py.File(path, "r")))
    if magic.startswith(_ZIP_MAGIC):
        return _zip_layers(stack.enter_context(zipfile.ZipFile(path)), stack)
    raise WeightsError(
        f"{path} is not a weights file: it begins with {magic!r}, which is neither HDF5 "
        "(.h5, .weights.h5) nor a zip (.keras, .npz). Pickled weights are never loaded; save them "
        "from Keras with model.save_weights('x.weights.h5')."
    )


def _zip_layers(archive: zipfile.ZipFile, stack: contextlib.ExitStack) -> StoredLayers:
    names = archive.namelist()
    if _WEIGHTS_IN_KERAS_FILE in names:
        weights = stack.enter_context(archive.open(_WEIGHTS_IN_KERAS_FILE))
        return _hdf5_layers(stack.enter_context(h5py.File(weights, "r")))
    if not all(name.endswith(".npy") for name in names):
        raise ValueError(f"a zip with {names[:3]}, but no {_WEIGHTS_IN_KERAS_FILE}")
    layers: dict[str, list[StoredArray]] = {}
    for name in names:
        layer, _, _ = name.rpartition("/")
        layers.setdefault(layer, []).append(_npy(archive, name))
    return {layer: tuple(found) for layer, found in layers.items()}


def _npy(archive: zipfile.ZipFile, name: str) -> StoredArray:
    def read() -> NDArray[Any]:
        with archive.open(name) as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))

    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(member)
    if dtype.hasobject:
        raise ValueError(f"array {name!r} is pickled; pickles are never loaded")
    return StoredArray(shape=tuple(shape), dtype=dtype, read=read)


def _hdf5_layers(opened: h5py.File) -> StoredLayers:
    # `in` would follow a link to see whether something is there.
    whole_model = opened.get("model_weights", getlink=True) is not None
    root = _child(opened, "model_weights") if whole_model else opened
    layer_names = _name_list(root, "layer_names")
    if layer_names:
        return dict(_legacy_layers(root, layer_names))
    return dict(_keras3_layers(opened, set()))


def _name_list(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names; HDF5 limits an attribute to 64 KB, so Keras splits long ones."""
    chunks = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(chunks)}" in group.attrs:
        chunks.append(f"{attribute}{len(chunks)}")
    names = (name for chunk in chunks for name in group.attrs[chunk])
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _legacy_layers(
    root: h5py.Group, layer_names: list[str]
) -> Iterator[tuple[str, tuple[StoredArray, ...]]]:
    for layer_name in layer_names:
        group = _child(root, layer_name)
        weight_names = _name_list(group, "weight_names")
        if not weight_names:
            continue
        # A nested model is one group; its weights are named "<inner layer>/<variable>".
        by_leaf: dict[str, list[StoredArray]] = {}
        for weight_name in weight_names:
            leaf = weight_name.rpartition("/")[0].rpartition("/")[2]
            by_leaf.setdefault(leaf, []).append(_hdf5_array(_child(group, weight_name)))
        if len(by_leaf) == 1:
            yield layer_name, tuple(next(iter(by_leaf.values())))
        else:
            for leaf, arrays in by_leaf.items():
                yield leaf or layer_name, tuple(arrays)


def _keras3_layers(
    group: h5py.Group, seen: set[int]
) -> Iterator[tuple[str, tuple[StoredArray, ...]]]:
    """Walk the groups of Keras 3, whose paths count layers by class (conv2d, conv2d_1, ...)."""
    place = h5py.h5o.get_info(group.id).addr
    if place in seen:  # fifty groups that each have two names would be walked 2^50 times
        raise ValueError(f"{group.name!r} has several names, which Keras does not write")
    seen.add(place)
    for key in sorted(group, key=_numbered):
        child = _child(group, key)
        # The optimizer's slots have the shapes of the weights; they are not weights.
        if not isinstance(child, h5py.Group) or key == "optimizer":
            continue
        if key == "vars":
            arrays = tuple(
                _hdf5_array(_child(child, name)) for name in sorted(child, key=_numbered)
            )
            if arrays:
                recorded = child.attrs.get("name", group.name.rpartition("/")[2])
                yield str(recorded), arrays
        else:
            yield from _keras3_layers(child, seen)


def _numbered(name: str) -> tuple[str, int]:
    """Sort key that puts conv2d before conv2d_1 and conv2d_9 before conv2d_10."""
    match = re.fullmatch(r"(.*?)_?(\d+)?", name)
    stem, number = match.groups() if match else (name, None)
    return stem, int(number or 0)


def _child(group: h5py.Group, name: str) -> Any:
    """Return what lies under a name; a link into another file is never followed."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True)
        if link is None:
            raise KeyError(f"{name!r} is not in it")
        # Keras writes no links: a soft one may lead to an external one.
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name!r} is a link, which may lead to another file")
        group = group[part]
    return group


def _hdf5_array(dataset: Any) -> StoredArray:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{dataset.name!r} is no array")
    # Both kinds of storage make the file read other files of the machine.
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"array {dataset.name!r} is stored in another file")
    return StoredArray(
        shape=dataset.shape, dtype=dataset.dtype, read=lambda: np.asarray(dataset[()])
    )
