"""Tar shards in the WebDataset manner: files of one name belong together, ``0001.jpg 0001.cls``.

Nothing is unpacked, so the names of members are only keys: one that leads out of its folder does
no harm.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.data.contents import TarMembers
from tl.data.example import Dataset, Side, column
from tl.data.formats.folder import SIDE_FOLDERS, is_picture
from tl.data.formats.labels import number_labels, read_numbers
from tl.errors import DatasetError

LABEL_ENDINGS = ("cls", "json", "txt")
LABEL_KEYS = ("label", "class", "cls", "category")
_LABEL_BYTES = 1 << 16  # a label's file is small; a large one is something else
_SIDE = re.compile(rf"({'|'.join(SIDE_FOLDERS)})[-_.0-9]", re.IGNORECASE)
_TAR_ERRORS = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, IndexError)


def has_shards(root: Path) -> bool:
    """Tell whether a folder holds tar shards."""
    return any(root.glob("*.tar"))


def read_shards(path: Path, label_key: str | None = None, *, numeric: bool = False) -> Dataset:
    """Read one tar archive, or all of a folder; a shard called ``train-...`` gives the side.

    Args:
        path: of the archive or folder.
        label_key: key of the label in ``.json`` members, where it is not a usual one.
        numeric: whether labels are numbers to be learned.

    Raises:
        DatasetError: compressed, cut off, or without a label for each picture.
    """
    archives = tuple(sorted(path.glob("*.tar"))) if path.is_dir() else (path,)
    keys: list[str] = []
    values: list[Any] = []
    sides: list[Side | None] = []
    places: list[tuple[int, int, int]] = []
    skipped: list[tuple[str, str]] = []
    for shard, archive in enumerate(archives):
        named = _SIDE.match(archive.name)
        for key, picture, label in _samples(archive, label_key, numeric):
            if picture is None or label is None:
                missing = "no picture" if picture is None else "no label"
                skipped.append((f"{archive.name}/{key}", missing))
                continue
            keys.append(f"{archive.name}/{picture.name}")
            values.append(label)
            sides.append(SIDE_FOLDERS[named[1].lower()] if named else None)
            places.append((shard, picture.offset_data, picture.size))
    if not keys:
        raise DatasetError(
            f"{path} has no picture with a label ({len(skipped)} with one of the two); beside "
            "KEY.jpg belongs KEY.cls, KEY.txt, or KEY.json with a label in it"
        )
    names: tuple[str, ...] = ("value",)
    numbers: NDArray[np.float32] | None = None
    if numeric:
        numbers = read_numbers(values, lambda at: f"{path}: the label of {keys[at]}")
        labels = np.zeros(len(keys), np.int32)
    else:
        names, labels = number_labels(values, str(path))
    shards, offsets, sizes = (np.array(part) for part in zip(*places, strict=True))
    return Dataset(
        name=path.stem,
        class_names=names,
        keys=column(keys),
        labels=labels,
        contents=TarMembers(archives, shards.astype(np.int32), offsets, sizes),
        rows=np.arange(len(keys)),
        sides=column(sides),
        values=numbers,
        skipped=tuple(skipped),
    )


def _samples(
    archive: Path, label_key: str | None, numeric: bool
) -> Iterator[tuple[str, tarfile.TarInfo | None, Any]]:
    """Yield key, picture and label of the members that share a key."""
    key: str | None = None
    picture: tarfile.TarInfo | None = None
    label: Any = None
    try:
        with tarfile.open(archive, "r:") as tar:
            length = archive.stat().st_size
            for member in tar:
                if not member.isfile() or member.issparse():
                    continue
                if member.offset_data + member.size > length:
                    raise DatasetError(f"{archive} is cut off in the middle of {member.name}")
                its_key, ending = _key(member.name)
                if its_key != key:
                    if key is not None:
                        yield key, picture, label
                    key, picture, label = its_key, None, None
                if is_picture(member.name):
                    picture = picture or member
                elif ending in LABEL_ENDINGS and member.size <= _LABEL_BYTES:
                    file = tar.extractfile(member)
                    assert file is not None  # a regular file
                    where = f"{archive}: {member.name}"
                    found = _label(file.read(), ending, label_key, where, numeric)
                    label = found if label is None else label
            if key is not None:
                yield key, picture, label
    except _TAR_ERRORS as error:
        with archive.open("rb") as file:
            packed = file.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")
        hint = "it is compressed; unpack it with gunzip or its like" if packed else str(error)
        raise DatasetError(f"cannot read {archive} as tar: {hint}") from error


def _key(name: str) -> tuple[str, str]:
    """Split a member's name at the first dot after its folder, as WebDataset does."""
    folder, _, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}/{stem}" if folder else stem, ending.lower()


def _label(data: bytes, ending: str, label_key: str | None, where: str, numeric: bool) -> Any:
    text = data.decode("utf-8", "replace").strip()
    if ending != "json":
        return text or None
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is no JSON: {error}") from error
    wanted: Sequence[str] = (label_key,) if label_key else LABEL_KEYS
    found = next((facts[one] for one in wanted if one in facts), None) if isinstance(
        facts, dict) else facts  # fmt: skip
    if found is not None and not isinstance(found, str | int | (float if numeric else str)):
        raise DatasetError(f"{where}: the label is {found!r}, neither text nor an integer")
    return str(found) if found is not None else None
