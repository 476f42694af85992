"""Features kept on disk by the content of the picture they are of, from one run to the next.

One file a way of looking (backbone, weights, size, view), which grows at its end. A record is the
picture's identity, the features and a checksum, so that what a killed process left half-written,
or a disk spoiled, is computed again and not believed. Files are memory-mapped to be read.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FORMAT = 1
"""Raise it when the same settings give other features."""
LIMIT_BYTES = 4 * 2**30
"""Of all files together; those that were used longest ago go first."""
_log = logging.getLogger(__name__)


class FeatureStore:
    """Rows of features by identity, in one file.

    Args:
        folder: for all such files, or None to keep nothing.
        facts: all that decides the features beside the picture itself.
        width: number of features.
        precision: of the stored numbers; what is read back is float32 in any case.
    """

    def __init__(
        self,
        folder: Path | None,
        facts: Mapping[str, Any],
        width: int,
        precision: str = "float32",
    ) -> None:
        self._record = np.dtype(
            [("identity", "V16"), ("features", precision, (width,)), ("checksum", "<u4")]
        )
        self._path: Path | None = None
        self._rows: dict[bytes, int] = {}
        self._map: NDArray[Any] | None = None
        if folder is None:
            return
        text = json.dumps({"format": FORMAT, "width": width, "precision": precision, **facts},
                          sort_keys=True)  # fmt: skip
        self._path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.features"
        self._open()

    def _open(self) -> None:
        assert self._path is not None
        try:
            size = self._path.stat().st_size // self._record.itemsize
            os.utime(self._path)  # it was used now
        except OSError:
            return
        if size:
            self._map = np.memmap(self._path, self._record, "r", shape=(size,))
            identities = np.array(self._map["identity"]).tolist()
            self._rows = {bytes(one): row for row, one in enumerate(identities)}

    def known(self, identities: Sequence[str]) -> NDArray[np.bool_]:
        """Return which rows there are, (n,); whether they are whole shows when they are read."""
        return np.array([_digest(one) in self._rows for one in identities], bool)

    def read(
        self, identities: Sequence[str], columns: NDArray[np.int64] | slice = slice(None)
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return some features of rows, and which rows were found; the others are zero.

        Args:
            identities: of the rows.
            columns: which features; those of all stages of many pictures may not fit into memory.

        Returns:
            float32 (n, number of columns) and bool (n,).
        """
        width = len(np.arange(self._record["features"].shape[0])[columns])
        features = np.zeros((len(identities), width), np.float32)
        found = np.zeros(len(identities), bool)
        if self._map is None:
            return features, found
        for place, identity in enumerate(identities):
            row = self._rows.get(_digest(identity))
            if row is None:
                continue
            record = self._map[row]
            if _checksum(record["identity"].tobytes(), record["features"]) == record["checksum"]:
                features[place], found[place] = record["features"][columns], True
        return features, found

    def rounded(self, features: Floats) -> Floats:
        """Return features as they will be read back."""
        return features.astype(self._record["features"].base).astype(np.float32)

    def append(self, identities: Sequence[str], features: Floats) -> None:
        """Add rows; a disk that takes none costs nothing but the next run's time."""
        if self._path is None or not len(identities):
            return
        records = np.zeros(len(identities), self._record)
        for place, identity in enumerate(identities):
            digest = _digest(identity)
            records[place]["identity"] = np.void(digest)
            records[place]["features"] = features[place]
            records[place]["checksum"] = _checksum(digest, records[place]["features"])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file, _locked(file):
                # What a killed process wrote half of would shift all that follows.
                whole = file.seek(0, os.SEEK_END) // self._record.itemsize * self._record.itemsize
                file.truncate(whole)
                file.write(records.tobytes())
        except OSError as error:
            _log.warning("features are not kept for the next run: %s", error)
            self._path = None


@contextlib.contextmanager
def _locked(file: Any) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
        file.flush()
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def prune(folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Remove the files that were used longest ago, down to a limit; none of the last hour."""
    with contextlib.suppress(OSError):
        files = [(path, path.stat()) for path in folder.glob("*.features")]
        files.sort(key=lambda one: one[1].st_mtime, reverse=True)
        total = 0
        for path, stat in files:
            total += stat.st_size
            if total > limit_bytes and time.time() - stat.st_mtime > 3600:
                path.unlink(missing_ok=True)


def _digest(identity: str) -> bytes:
    return hashlib.sha256(identity.encode()).digest()[:16]


def _checksum(identity: bytes, features: NDArray[Any]) -> int:
    return zlib.crc32(features.tobytes(), zlib.crc32(identity))
