"""Arrays of pixels: IDX (MNIST, Fashion-MNIST), CIFAR's batches, NumPy's .npz."""

import gzip
import io
import math
import pickle
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.data.contents import Pixels
from tl.data.decoded_cache import free_memory
from tl.data.example import Dataset, Side, column
from tl.errors import DatasetError

DIGITS = tuple(str(digit) for digit in range(10))
FASHION = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
CIFAR_10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
IDX_SIDES: dict[str, Side] = {"train": "train", "t10k": "test"}
Part = tuple[Side | None, NDArray[np.uint8], NDArray[np.integer[Any]]]


def array_dataset(name: str, class_names: Sequence[str], parts: Sequence[Part]) -> Dataset:
    """Put arrays of pictures, a side each, into one dataset.

    Args:
        name: of the dataset.
        class_names: in label order.
        parts: (side, uint8 images (n, height, width[, 3]), labels (n,)).
    """
    images = np.concatenate([part[1] for part in parts]) if len(parts) > 1 else parts[0][1]
    keys = [
        f"{side}/{index:05d}.png" if side else f"{index:05d}.png"
        for side, part, _ in parts
        for index in range(len(part))
    ]
    return Dataset(
        name=name,
        class_names=tuple(class_names),
        keys=column(keys),
        labels=np.concatenate([part[2] for part in parts]).astype(np.int32),
        contents=Pixels(images),
        rows=np.arange(len(images)),
        sides=column([side for side, part, _ in parts for _ in range(len(part))]),
    )


def has_idx(root: Path) -> bool:
    """Tell whether a folder holds IDX files."""
    return any(root.glob("*-idx3-ubyte*"))


def read_idx(root: Path) -> Dataset:
    """Read the IDX files of MNIST or Fashion-MNIST, gzipped or not.

    Raises:
        DatasetError: a file is cut off, the labels beside the pictures are missing, or there are
            other ones than 0 to 9.
    """
    names = FASHION if "fashion" in root.resolve().name.lower() else DIGITS
    parts: list[Part] = []
    for prefix, side in IDX_SIDES.items():
        images = _idx(root, f"{prefix}-images-idx3-ubyte", 3)
        labels = _idx(root, f"{prefix}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise DatasetError(f"{root}: {len(images)} pictures but {len(labels)} labels")
        if not images.size:
            raise DatasetError(f"{root}: {prefix}-images-idx3-ubyte holds no picture")
        if labels.max() >= len(names):
            raise DatasetError(
                f"{root}: {prefix}-labels-idx1-ubyte has label {labels.max()}; IDX files are read "
                f"for the {len(names)} classes of MNIST and Fashion-MNIST, 0 to {len(names) - 1}"
            )
        parts.append((side, images, labels))
    return array_dataset(root.resolve().name, names, parts)


def _idx(root: Path, name: str, axes: int) -> NDArray[np.uint8]:
    for path, opener in ((root / f"{name}.gz", gzip.open), (root / name, open)):
        if path.is_file():
            try:
                with opener(path, "rb") as file:
                    return _idx_array(path, file, axes)
            except (OSError, EOFError, zlib.error) as error:
                raise DatasetError(f"cannot read {path}: {error}") from error
    raise DatasetError(f"{root} has no {name}.gz, which belongs beside its other IDX files")


def _idx_array(path: Path, file: Any, axes: int) -> NDArray[np.uint8]:
    header = file.read(4 + 4 * axes)
    shape = [int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4)]
    length = math.prod(shape)
    if header[:4] == bytes([0, 0, 8, axes]) and len(header) == 4 + 4 * axes:
        _refuse_too_large(path, length)
        data = file.read(length + 1)  # a gzip may go on for ever
        if len(data) == length:
            return np.frombuffer(data, np.uint8).reshape(shape)
    raise DatasetError(f"{path} is no IDX file of {axes} axes of bytes, or is cut off")


def _refuse_too_large(path: Path, length: int) -> None:
    """Refuse what would not fit, before it is unpacked: a small file can promise terabytes."""
    free = free_memory()
    if length > free:
        raise DatasetError(
            f"{path} holds {length / 1e9:.1f} GB of pixels, and {free / 1e9:.1f} GB of memory are "
            "free; give the pictures as files or tar shards"
        )


def has_cifar(root: Path) -> bool:
    """Tell whether a folder holds the binary or the pickled batches of CIFAR-10 or CIFAR-100."""
    return any(
        (root / name).is_file() for name in ("data_batch_1", "data_batch_1.bin", "train.bin")
    ) or all((root / name).is_file() for name in ("train", "test", "meta"))


def read_cifar(root: Path) -> Dataset:
    """Read the batches of CIFAR-10 or CIFAR-100, binary or pickled, with the fine labels.

    Raises:
        DatasetError: a batch is cut off, or holds other things than CIFAR's.
    """
    is_100 = (root / "train").is_file() or (root / "train.bin").is_file()
    batches: dict[Side, tuple[str, ...]] = {
        "train": ("train",) if is_100 else tuple(f"data_batch_{n}" for n in range(1, 6)),
        "test": ("test",) if is_100 else ("test_batch",),
    }
    key = b"fine_labels" if is_100 else b"labels"
    parts: list[Part] = []
    for side, names in batches.items():
        for name in names:
            if (root / f"{name}.bin").is_file():
                images, labels = _cifar_binary(root / f"{name}.bin", label_bytes=2 if is_100 else 1)
            elif (root / name).is_file():
                images, labels = _cifar_pickle(root / name, key)
            else:
                raise DatasetError(f"{root} has no {name}, which belongs beside its other batches")
            parts.append((side, images, labels))
    names_found = _cifar_names(root, is_100)
    highest = max(int(labels.max()) for _, _, labels in parts)
    lowest = min(int(labels.min()) for _, _, labels in parts)
    if lowest < 0 or highest >= len(names_found):
        raise DatasetError(f"{root} has labels from {lowest} to {highest}, but "
                           f"{len(names_found)} class names")  # fmt: skip
    return array_dataset(root.resolve().name, names_found, _joined(parts))


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Join the batches of a side, so that keys count on."""
    sides = list(dict.fromkeys(side for side, _, _ in parts))
    return [
        (
            side,
            np.concatenate([images for its, images, _ in parts if its == side]),
            np.concatenate([labels for its, _, labels in parts if its == side]),
        )
        for side in sides
    ]


def _cifar_binary(
    path: Path, label_bytes: int
) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    data = np.fromfile(path, np.uint8)
    length = label_bytes + 3072
    if not data.size or data.size % length:
        raise DatasetError(
            f"{path} has {data.size:,} bytes, which is no number of CIFAR's records of {length}: "
            "it is cut off, or another format"
        )
    records = data.reshape(-1, length)
    return _cifar_images(records[:, label_bytes:]), records[:, label_bytes - 1]


def _cifar_pickle(path: Path, key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    batch = _load_plain_pickle(path)
    array = batch.get(b"data") if isinstance(batch, dict) else None
    data = array.values if isinstance(array, _PlainArray) else None
    labels = batch.get(key) if isinstance(batch, dict) else None
    if (
        data is None
        or data.ndim != 2
        or data.shape[1] != 3072
        or not isinstance(labels, list)
        or len(labels) != len(data)
        or not labels
        or not all(isinstance(label, int) for label in labels)
    ):
        raise DatasetError(
            f"{path} is no batch of CIFAR: it needs b'data', uint8 (n, 3072), and {key!r}, a list "
            "of n integers"
        )
    return _cifar_images(data), np.array(labels)


def _cifar_images(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn rows of red, green and blue planes into (n, 32, 32, 3)."""
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _cifar_names(root: Path, is_100: bool) -> tuple[str, ...]:
    text = root / ("fine_label_names.txt" if is_100 else "batches.meta.txt")
    if text.is_file():
        names = text.read_text(encoding="utf-8", errors="replace").split()
        return _checked_names(names, text)
    meta = root / ("meta" if is_100 else "batches.meta")
    if meta.is_file():
        facts = _load_plain_pickle(meta)
        found = facts.get(b"fine_label_names" if is_100 else b"label_names") if isinstance(
            facts, dict) else None  # fmt: skip
        if not isinstance(found, list) or not all(isinstance(name, bytes) for name in found):
            raise DatasetError(f"{meta} holds no list of class names")
        return _checked_names([name.decode("utf-8", "replace") for name in found], meta)
    return tuple(str(label) for label in range(100)) if is_100 else CIFAR_10


def _checked_names(names: list[str], path: Path) -> tuple[str, ...]:
    if len(names) < 2 or len(set(names)) != len(names) or not all(n.isprintable() for n in names):
        raise DatasetError(f"{path} holds no list of different, printable class names")
    return tuple(names)


class _PlainArray:
    """Stands in for NumPy's array, whose own way out of a pickle trusts what the pickle says."""

    values: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        if not isinstance(dtype, _PlainType) or dtype.code not in ("u1", b"u1") or is_fortran:
            raise pickle.UnpicklingError("it holds an array of other things than bytes")
        if not isinstance(data, bytes) or len(data) != math.prod(shape):
            raise pickle.UnpicklingError("it holds an array of another length than its shape")
        self.values = np.frombuffer(data, np.uint8).reshape(shape)


class _PlainType:
    """Stands in for NumPy's dtype."""

    def __init__(self, code: object, *flags: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Forget byte order and alignment: bytes have none."""


class _PlainUnpickler(pickle.Unpickler):
    """Load numbers, strings, lists, dicts and arrays of bytes; a pickle can ask for any code."""

    _ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): lambda *ignored: _PlainArray(),
        ("numpy._core.multiarray", "_reconstruct"): lambda *ignored: _PlainArray(),
        ("numpy", "ndarray"): _PlainArray,
        ("numpy", "dtype"): _PlainType,
        ("_codecs", "encode"): lambda text, encoding="latin1": _encode_latin1(text, encoding),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._ALLOWED:
            return self._ALLOWED[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _encode_latin1(text: object, encoding: object) -> bytes:
    """Do the one thing that Python 2's strings in newer pickles need `codecs.encode` for."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes something else than a byte string")
    return text.encode("latin1")


# What damaged and hostile pickles make the unpickler raise, found by feeding it such files.
_PICKLE_ERRORS = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError,
    MemoryError, OverflowError, RecursionError, UnicodeError, ArithmeticError, SystemError,
)  # fmt: skip


def _load_plain_pickle(path: Path) -> Any:
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error
    except _PICKLE_ERRORS as error:
        raise DatasetError(
            f"{path} is no pickle of plain arrays and lists and was not loaded: {error}"
        ) from error


# Names that pictures and labels go by in .npz files, with the side that they say.
_NPZ_PAIRS: tuple[tuple[str, str, Side | None], ...] = (
    ("x_train", "y_train", "train"), ("x_val", "y_val", "val"), ("x_test", "y_test", "test"),
    ("train_images", "train_labels", "train"), ("val_images", "val_labels", "val"),
    ("test_images", "test_labels", "test"),
    ("images", "labels", None), ("x", "y", None), ("image", "label", None),
)  # fmt: skip
_NPZ_ERRORS = (OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError,
               zipfile.BadZipFile, zlib.error, MemoryError, OverflowError, SyntaxError,
               TypeError, AttributeError, LookupError, tokenize.TokenError)  # fmt: skip


def read_npz(path: Path) -> Dataset:
    """Read pictures and labels from NumPy's archive.

    Names: x_train, y_train, x_test, y_test (Keras), train_images, train_labels, ... (MedMNIST),
    images, labels; class_names where there are any.

    Raises:
        DatasetError: no such arrays, or arrays that are no pictures.
    """
    try:
        # The file is ours to close: on a damaged one NumPy leaves its own open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _refuse_too_large(path, sum(one.file_size for one in archive.zip.infolist()))
            parts = _npz_parts(path, archive)
            given = archive["class_names"].tolist() if "class_names" in archive.files else None
    except _NPZ_ERRORS as error:
        # NumPy's advice for a damaged array is to unpickle it, which may run what it holds.
        why = "an array in it is pickled or damaged" if "allow_pickle" in str(error) else error
        raise DatasetError(f"{path} is no readable .npz of plain arrays: {why}") from error
    every = np.concatenate([labels for _, _, labels in parts])
    if len(np.unique(every)) == len(every) > 2:
        raise DatasetError(f"{path}: each of the {len(every):,} pictures has a label of its own")
    highest = int(every.max())
    names = [str(name) for name in given] if isinstance(given, list) else [
        str(label) for label in range(highest + 1)]  # fmt: skip
    if highest >= len(names):
        raise DatasetError(f"{path} has label {highest}, but {len(names)} class_names")
    return array_dataset(path.stem, names, parts)


def _npz_parts(path: Path, archive: Any) -> list[Part]:
    parts: list[Part] = []
    for images_name, labels_name, side in _NPZ_PAIRS:
        if images_name not in archive.files or labels_name not in archive.files:
            continue
        images, labels = np.asarray(archive[images_name]), np.asarray(archive[labels_name])
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
            raise DatasetError(
                f"{path}: {images_name} is {images.dtype} {images.shape}; pictures are uint8 "
                "(n, height, width) or (n, height, width, 3)"
            )
        if images.ndim == 4 and images.shape[3] not in (1, 3):
            hint = "; move the channels last" if images.shape[1] in (1, 3) else ""
            raise DatasetError(
                f"{path}: {images_name} has {images.shape[3]} channels, not 1 or 3{hint}"
            )
        if labels.dtype.kind not in "iu" or labels.shape != (len(images),) or labels.min() < 0:
            raise DatasetError(
                f"{path}: {labels_name} is {labels.dtype} {labels.shape}; labels are integers from "
                f"0, one for each of the {len(images)} pictures"
            )
        parts.append((side, images[..., 0] if images.shape[3:] == (1,) else images, labels))
    if not parts:
        pairs = ", ".join(f"{one} and {other}" for one, other, _ in _NPZ_PAIRS[:3])
        raise DatasetError(
            f"{path} holds {', '.join(archive.files) or 'nothing'}; it needs pairs such as "
            f"{pairs}, or images and labels"
        )
    if len({part[1].shape[1:] for part in parts}) > 1:
        raise DatasetError(f"{path}: the pictures of its sides differ in size")
    return parts
