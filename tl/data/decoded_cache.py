"""Decoded pictures kept from one epoch to the next, in memory or on disk.

Decoding is most of what a training picture costs. The cache is sized before it is used and refused
where it does not fit: a machine that swaps is slower than one that decodes.
"""

import hashlib
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tl.errors import ConfigError, DatasetError

CacheKind = Literal["auto", "none", "ram", "disk"]
MEMORY_SHARE = 0.6  # of what is free; the rest is the network's, the batches' and the system's
AUTO_BYTES = 2**29
"""That nobody misses: a thousand photographs, or 100,000 pictures of 40 pixels."""
Image = NDArray[np.uint8]


class DecodedCache(Protocol):
    """Pictures by key."""

    def get(self, key: str) -> Image | None:
        """Return a picture that nobody may write into, or None."""

    def put(self, key: str, image: Image) -> None:
        """Keep a picture, if there is a place for it."""


class RamCache:
    """Pictures in memory."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    def get(self, key: str) -> Image | None:
        """Return a picture, or None."""
        return self._images.get(key)

    def put(self, key: str, image: Image) -> None:
        """Keep a picture."""
        kept = np.ascontiguousarray(image)
        kept.setflags(write=False)
        self._images[key] = kept


class DiskCache:
    """Pictures in one memory-mapped file, which the next run over the same pictures finds full.

    Args:
        folder: for the file.
        shapes: (height, width) of every picture by key, as it will be decoded.
        identities: of every picture by key; another content is another file.
    """

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, int]], identities: Mapping[str, str]
    ) -> None:
        self._shapes = dict(shapes)
        lengths = np.array([3 * height * width for height, width in shapes.values()], np.int64)
        ends = np.cumsum(lengths)
        self._starts = dict(zip(shapes, (ends - lengths).tolist(), strict=True))
        self._places = {key: place for place, key in enumerate(shapes)}
        total = int(ends[-1]) if len(ends) else 0
        tag = "\n".join(f"{identities[key]} {shape}" for key, shape in shapes.items())
        name = hashlib.sha256(tag.encode()).hexdigest()[:32]
        self._path = folder / f"{name}.pixels"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, size in ((self._path, total), (self._marks_path, len(shapes))):
                with path.open("ab") as file:
                    file.truncate(max(1, size))  # a hole, until a picture is written into it
        except OSError as error:
            raise DatasetError(
                f"cannot make the cache {self._path}: {error.strerror or error}; use --cache none, "
                "or set TL_CACHE_DIR to a folder with room"
            ) from error
        self._local = threading.local()
        self._open()

    @property
    def _marks_path(self) -> Path:
        return self._path.with_suffix(".marks")

    def _open(self) -> None:
        self._pixels = np.memmap(self._path, np.uint8, "r+")
        self._marks = np.memmap(self._marks_path, np.uint8, "r+")

    def get(self, key: str) -> Image | None:
        """Return a picture, or None."""
        place = self._places.get(key)
        if place is None or not self._marks[place]:
            return None
        height, width = self._shapes[key]
        start = self._starts[key]
        image = self._pixels[start : start + 3 * height * width].reshape(height, width, 3)
        image.setflags(write=False)
        return np.asarray(image)

    def put(self, key: str, image: Image) -> None:
        """Write a picture into its place, then its mark: one without a mark is decoded again."""
        if self._shapes.get(key) != image.shape[:2]:
            return
        start = self._starts[key]
        self._pixels[start : start + image.size] = image.reshape(-1)
        self._marks[self._places[key]] = 1

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items()
                if name not in ("_pixels", "_marks", "_local")}  # fmt: skip

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()
        self._open()


def make_cache(
    kind: CacheKind,
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    identities: Mapping[str, str],
) -> DecodedCache | None:
    """Make a cache that fits, or none.

    Args:
        kind: where to keep the pictures; ``auto`` is in memory if they take little of it.
        folder: for a cache on disk.
        shapes: (height, width) of every picture by key, as it will be decoded.
        identities: content hash of every picture by key.

    Raises:
        ConfigError: the pictures need more than is free.
    """
    if kind == "none":
        return None
    needed = sum(3 * height * width for height, width in shapes.values())
    if kind in ("auto", "ram"):
        usable = round(MEMORY_SHARE * free_memory())
        if kind == "auto":
            return RamCache() if needed <= min(AUTO_BYTES, usable) else None
        _refuse_above(needed, usable, len(shapes), "ram", "memory")
        return RamCache()
    nearest_folder = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(nearest_folder).free
    _refuse_above(needed, free, len(shapes), "disk", f"{folder}")
    return DiskCache(folder, shapes, identities)


def _refuse_above(needed: int, free: int, count: int, kind: str, where: str) -> None:
    if needed > free:
        raise ConfigError(
            f"--cache {kind} needs {needed / 1e9:.1f} GB for {count:,} decoded pictures, and "
            f"{free / 1e9:.1f} GB of {where} may be used. Use --cache "
            f"{'disk or none' if kind == 'ram' else 'none'}, or a smaller --image-size"
        )


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that can be used without swapping, also within a container.

    Args:
        root: where proc and sys are; tests give their own.
    """
    limits = [2**62]
    meminfo = root / "proc/meminfo"
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(1024 * int(line.split()[1]))
    group = root / "sys/fs/cgroup"
    try:
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            limits.append(int(most) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no container, or one of another kind
    return max(0, min(limits))
