"""Where the encoded bytes of pictures lie: in files, archives, columns or arrays.

One class a way of storing; each reads one row when a batch needs it, and is cheap to hand to
another process. Nothing is decoded here.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tl.errors import DatasetError

Stamp = tuple[str, int, int]
"""Name of the place, size in bytes, time of change in ns: the same stamp, the same bytes."""


class Contents(Protocol):
    """The encoded pictures of a dataset, by row."""

    def read(self, row: int) -> bytes:
        """Return the encoded picture.

        Raises:
            OSError: its file cannot be read; ``filename`` names it.
            DatasetError: the bytes are not where they were.
        """

    def stamp(self, row: int) -> Stamp | None:
        """Return what tells whether the bytes changed, or None where nothing does."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """Pictures that are small, or were made here."""

    pictures: Sequence[bytes] = field(repr=False)

    def read(self, row: int) -> bytes:
        """Return the encoded picture."""
        return self.pictures[row]

    def stamp(self, row: int) -> Stamp | None:
        """Return None: memory has no time of change."""
        return None


@dataclass(frozen=True, slots=True)
class Files:
    """A file a picture.

    Attributes:
        root: folder that relative names start from.
        names: paths below the root, or absolute ones.
    """

    root: Path
    names: Sequence[str] | NDArray[Any] = field(repr=False)

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.root / self.names[row]

    def read(self, row: int) -> bytes:
        """Return the file's bytes."""
        # Plain calls: a path object and a buffer cost as much again as the reading.
        name = os.path.join(self.root, self.names[row])  # noqa: PTH118
        try:
            with open(name, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read()
        except ValueError as error:  # a NUL, or half a character
            raise DatasetError(f"{name!r} is no name that a file can have") from error

    def stamp(self, row: int) -> Stamp | None:
        """Return the file's, or None where it cannot be looked at."""
        path = os.path.abspath(self.path(row))  # noqa: PTH100 - resolve() asks the disk for every link
        return _file_stamp(path, path)


@dataclass(frozen=True, slots=True)
class TarMembers:
    """Members of uncompressed tar archives, read by their place without unpacking.

    Attributes:
        archives: the shards.
        shards: index into ``archives`` by row.
        offsets, sizes: place of the member's bytes in its archive.
    """

    archives: tuple[Path, ...]
    shards: NDArray[np.int32] = field(repr=False)
    offsets: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)

    def read(self, row: int) -> bytes:
        """Return the member's bytes."""
        archive, size = self.archives[self.shards[row]], int(self.sizes[row])
        with archive.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), size, int(self.offsets[row]))
        if len(data) != size:
            raise DatasetError(f"{archive} is shorter than when it was opened")
        return data

    def stamp(self, row: int) -> Stamp | None:
        """Return the archive's, under a name of the member's own."""
        archive = str(self.archives[self.shards[row]].absolute())
        return _file_stamp(f"{archive}#{self.offsets[row]}+{self.sizes[row]}", archive)


@dataclass(frozen=True, slots=True)
class ArrowColumn:
    """A binary column of a memory-mapped Arrow file.

    Attributes:
        path: of the Arrow file (IPC format), with one column.
        source: the file that the column was copied from, for stamps.
    """

    path: Path
    source: Path

    def read(self, row: int) -> bytes:
        """Return the cell's bytes."""
        data = _arrow_column(self.path)[row].as_py()
        if data is None:
            raise DatasetError(f"row {row} of {self.source} holds no bytes")
        return bytes(data)

    def stamp(self, row: int) -> Stamp | None:
        """Return the source's, under a name of the row's own."""
        source = str(self.source.absolute())
        return _file_stamp(f"{source}#{row}", source)


@functools.lru_cache(maxsize=16)
def _arrow_column(path: Path) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path))).read_all().column(0)


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Decoded pictures, uint8 (pictures, height, width) or (pictures, height, width, 3).

    They are encoded as PNG when they are read, so that all that follows sees files.
    """

    images: NDArray[np.uint8] = field(repr=False)

    def read(self, row: int) -> bytes:
        """Return the picture as PNG."""
        return encode_png(self.images[row])

    def stamp(self, row: int) -> Stamp | None:
        """Return None: memory has no time of change."""
        return None


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a grey (height, width) or RGB (height, width, 3) picture without loss."""
    import cv2

    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, png = cv2.imencode(".png", image)
    assert done
    return bytes(png)


def _file_stamp(name: str, path: str) -> Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a string, as it is called for every picture
    except (OSError, ValueError):
        return None
    return name, status.st_size, status.st_mtime_ns
