"""A folder with one sub-folder a class; ImageNet's synset folders too."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tl.data.contents import Files
from tl.data.decode import EXTENSIONS
from tl.data.example import Dataset, Side, column
from tl.errors import DatasetError

# Folder names that give the split, as the common datasets spell them.
SIDE_FOLDERS: dict[str, Side] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
CLUTTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
CLASS_INDEX = ("imagenet_class_index.json", "LOC_synset_mapping.txt")
_SYNSET = re.compile(r"n\d{8}")


def read_folder(root: Path) -> Dataset:
    """Read a folder with one sub-folder a class, or train/, val/ and test/ of such folders.

    Pictures at any depth below a class's folder belong to it. Links are followed once.
    Hidden files and folders are passed over.

    Raises:
        DatasetError: no sub-folder, or no picture in any.
    """
    below = _sub_folders(root)
    if not below:
        raise DatasetError(_no_folder(root))
    sides: list[tuple[Side | None, Path]] = [
        (SIDE_FOLDERS[folder.name.lower()], folder)
        for folder in below
        if folder.name.lower() in SIDE_FOLDERS and _sub_folders(folder)
    ]
    if not any(side == "train" for side, _ in sides):
        sides = [(None, root)]
    found: list[tuple[str, str, Side | None]] = []  # key, class folder, side
    ignored = 0
    for side, top in sides:
        for folder in _sub_folders(top):
            above = {os.path.realpath(root), os.path.realpath(top)}
            for below_root, is_one in _files(folder, root, above):
                if is_one:
                    found.append((below_root, folder.name, side))
                else:
                    ignored += 1
    if not found:
        raise DatasetError(
            f"no picture below {root}: looked for {' '.join(sorted(EXTENSIONS)[:6])} ... in "
            f"{len(below)} sub-folders and passed over {ignored} other files"
        )
    found.sort(key=lambda item: item[0])
    folders = sorted({folder for _, folder, _ in found})
    _refuse_unprintable(folders, root)
    labels = {folder: label for label, folder in enumerate(folders)}
    keys = column([key for key, _, _ in found])
    return Dataset(
        name=root.resolve().name,
        class_names=_class_names(folders, root),
        keys=keys,
        labels=np.array([labels[folder] for _, folder, _ in found], np.int32),
        contents=Files(root, keys),
        rows=np.arange(len(found)),
        sides=column([side for _, _, side in found]),
        ignored=ignored,
    )


def is_picture(name: str) -> bool:
    """Tell by its ending whether a file is meant to be a picture."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - called a million times


def _no_folder(root: Path) -> str:
    names = [path.name for path in root.iterdir()]
    tables = sorted(n for n in names if n.lower().endswith((".csv", ".tsv", ".parquet", ".jsonl")))
    if tables:
        return f"{root} has no sub-folder but a table: pass --dataset {root / tables[0]}"
    loose = sum(map(is_picture, names))
    found = f"{loose} pictures but no sub-folder" if loose else "no sub-folder"
    return f"{root} has {found}; put the pictures into one sub-folder a class"


def _refuse_unprintable(folders: list[str], root: Path) -> None:
    for folder in folders:
        if not folder.isprintable():  # bytes that are no UTF-8, a line break
            raise DatasetError(
                f"the class folder {folder!r} below {root} has a name that cannot be printed; "
                "rename it"
            )


def _class_names(folders: list[str], root: Path) -> tuple[str, ...]:
    """Return the folders' names; for ImageNet's synsets, words where a class index is beside them.

    Two synsets that share their words (two of ImageNet's are called crane) keep their numbers.
    """
    if not all(_SYNSET.fullmatch(folder) for folder in folders):
        return tuple(folders)
    words = _synset_words(root)
    names = [words.get(folder, folder) for folder in folders]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    )


def _synset_words(root: Path) -> dict[str, str]:
    """Return the words of each synset from Keras' or Kaggle's index in the folder or above it."""
    for folder in (root, root.parent):
        index = folder / CLASS_INDEX[0]
        if index.is_file():
            try:
                pairs = json.loads(index.read_text(encoding="utf-8")).values()
                return {str(synset): str(word) for synset, word in pairs}
            except (OSError, ValueError, AttributeError) as error:
                raise DatasetError(
                    f'{index} is no class index ({{"0": ["n01440764", "tench"], ...}}): {error}'
                ) from error
        mapping = folder / CLASS_INDEX[1]
        if mapping.is_file():
            lines = mapping.read_text(encoding="utf-8", errors="replace").splitlines()
            split = (line.split(" ", 1) for line in lines if " " in line)
            return {synset: words.split(",")[0].strip() for synset, words in split}
    return {}


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


def _files(folder: Path, root: Path, above: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield every file below a folder, from the root with ``/``, and whether it is a picture.

    A link back to a folder ``above`` leads to other classes.
    """
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
        # Plain strings: path objects took most of the time of opening a large folder.
        prefix = Path(top).relative_to(root).as_posix()
        for name in sorted(names):
            if not name.startswith("."):
                yield f"{prefix}/{name}", is_picture(name) and _can_be_read(f"{top}/{name}")


def _can_be_read(path: str) -> bool:
    """Leave out pipes and devices, which never end; a broken link is reported as unreadable."""
    return os.path.isfile(path) or os.path.islink(path)  # noqa: PTH113, PTH114 - as above
