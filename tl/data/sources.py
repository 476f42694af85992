"""Where pictures come from: a folder with one sub-folder a class, IDX files, a built-in name.

Receives what the user typed, gives a `Dataset` in a fixed order. Nothing is decoded here.
"""

import gzip
import importlib.util
import math
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tl.data.decode import EXTENSIONS
from tl.data.example import Dataset, Example, Side
from tl.errors import ConfigError, DatasetError, nearest

# Folder names that give the split, as the common datasets spell them.
SIDE_FOLDERS: dict[str, Side] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
CLUTTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


def open_dataset(spec: str) -> Dataset:
    """Open a dataset by path or built-in name.

    Args:
        spec: a folder, or a name of `BUILT_IN`. A folder of the same name wins.

    Raises:
        ConfigError: no such folder or name.
        DatasetError: the folder holds no classes or no picture.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        read = read_idx if any(path.glob("*-idx3-ubyte*")) else read_folder
        dataset = read(path)
    elif spec in BUILT_IN:
        dataset = BUILT_IN[spec]()
    elif path.exists():
        raise ConfigError(
            f"--dataset {spec} is a file; give the folder that has one sub-folder a class"
        )
    else:
        raise ConfigError(
            f"--dataset {spec}: no such folder. Give a folder with one sub-folder a class, or a "
            f"built-in name; {nearest(spec, BUILT_IN)}"
        )
    return dataset


def read_folder(root: Path) -> Dataset:
    """Read a folder with one sub-folder a class, or train/, val/ and test/ of such folders.

    Pictures at any depth below a class's folder belong to it. Links are followed once.
    Hidden files and folders are passed over.

    Raises:
        DatasetError: no sub-folder, or no picture in any.
    """
    below = _sub_folders(root)
    if not below:
        loose = sum(_is_picture(path.name) for path in root.iterdir())
        found = f"{loose} pictures but no sub-folder" if loose else "no sub-folder"
        raise DatasetError(f"{root} has {found}; put the pictures into one sub-folder a class")
    sides: list[tuple[Side | None, Path]] = [
        (SIDE_FOLDERS[folder.name.lower()], folder)
        for folder in below
        if folder.name.lower() in SIDE_FOLDERS and _sub_folders(folder)
    ]
    if not any(side == "train" for side, _ in sides):
        sides = [(None, root)]
    found_files: list[tuple[str, str, Path, Side | None]] = []
    ignored = 0
    for side, top in sides:
        for folder in _sub_folders(top):
            for path in _files(folder, above={os.path.realpath(root), os.path.realpath(top)}):
                # A pipe or a device would never end; a dangling link is reported as unreadable.
                if _is_picture(path.name) and (path.is_file() or path.is_symlink()):
                    key = path.relative_to(root).as_posix()
                    found_files.append((key, folder.name, path, side))
                else:
                    ignored += 1
    if not found_files:
        raise DatasetError(
            f"no picture below {root}: looked for {' '.join(sorted(EXTENSIONS)[:6])} ... in "
            f"{len(below)} sub-folders and passed over {ignored} other files"
        )
    names = tuple(sorted({class_name for _, class_name, _, _ in found_files}))
    for name in names:
        if not name.isprintable():  # bytes that are no UTF-8, a line break
            raise DatasetError(
                f"the class folder {name!r} below {root} has a name that cannot be printed; "
                "rename it"
            )
    labels = {name: label for label, name in enumerate(names)}
    examples = tuple(
        Example(key, labels[class_name], path, None, side)
        for key, class_name, path, side in sorted(found_files, key=lambda item: item[0])
    )
    return Dataset(root.resolve().name, names, examples, ignored)


def _sub_folders(root: Path) -> list[Path]:
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise DatasetError(f"cannot list {root}: {error.strerror}") from error
    return [
        entry
        for entry in entries
        if not entry.name.startswith(".") and entry.name not in CLUTTER and entry.is_dir()
    ]


def _files(folder: Path, above: set[str]) -> Iterator[Path]:
    """Yield the files below a folder; a link back to one ``above`` leads to other classes."""
    seen = set(above)

    def refuse(error: OSError) -> None:
        raise DatasetError(f"cannot list {error.filename}: {error.strerror}") from error

    for top, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(top)
        if real in seen:  # a loop of links
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in CLUTTER
        )
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(top, name)


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS


IDX_SIDES: dict[str, Side] = {"train": "train", "t10k": "test"}
FASHION_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def read_idx(root: Path) -> Dataset:
    """Read the IDX files of MNIST or Fashion-MNIST, gzipped or not.

    Raises:
        DatasetError: a file is cut off, the labels beside the pictures are missing, or there are
            other ones than 0 to 9.
    """
    is_fashion = "fashion" in root.resolve().name.lower()
    names = FASHION_CLASSES if is_fashion else tuple(str(digit) for digit in range(10))
    examples: list[Example] = []
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
        examples += [
            Example(f"{prefix}/{index:05d}.png", int(label), None, encode_png(image), side)
            for index, (image, label) in enumerate(zip(images, labels, strict=True))
        ]
    return Dataset(root.resolve().name, names, tuple(examples))


def _idx(root: Path, name: str, axes: int) -> NDArray[np.uint8]:
    for path, opener in ((root / f"{name}.gz", gzip.open), (root / name, open)):
        if path.is_file():
            try:
                with opener(path, "rb") as file:
                    data = file.read()
            except (OSError, EOFError, zlib.error) as error:
                raise DatasetError(f"cannot read {path}: {error}") from error
            start = 4 + 4 * axes
            shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
            if data[:4] != bytes([0, 0, 8, axes]) or len(data) != start + math.prod(shape):
                raise DatasetError(f"{path} is no IDX file of {axes} axes of bytes, or is cut off")
            return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
    raise DatasetError(f"{root} has no {name}.gz, which belongs beside its other IDX files")


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a grey (height, width) or RGB (height, width, 3) picture without loss."""
    import cv2

    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, png = cv2.imencode(".png", image)
    assert done
    return bytes(png)


def read_digits() -> Dataset:
    """Return the 1,797 handwritten digits that scikit-learn carries, 8 x 8 pixels each.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
    """
    # Its file, not its function: importing scikit-learn takes 3 s, and `--dry-run` has less.
    package = importlib.util.find_spec("sklearn")
    assert package is not None  # a dependency
    assert package.origin is not None
    table = np.loadtxt(
        Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=","
    )
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    levels = np.round(images * (255 / 16)).astype(np.uint8)  # the source counts 0 to 16
    examples = tuple(
        Example(f"digits/{index:04d}.png", int(label), None, encode_png(image))
        for index, (image, label) in enumerate(zip(levels, labels, strict=True))
    )
    return Dataset("digits", tuple(str(digit) for digit in range(10)), examples)


BUILT_IN: dict[str, Callable[[], Dataset]] = {"digits": read_digits}
