"""One look at every picture before training: can it be read, and what is its identity.

Receives the examples of a source, gives one `Inspection` each. Results are remembered by
(path, size, modification time), so that the second run over the same folder reads nothing.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tl.data.contents import Stamp
from tl.data.decode import decode_picture, picture_kind
from tl.data.example import Example
from tl.errors import DatasetError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS inspection_v2 (
    path TEXT, size INTEGER, mtime_ns INTEGER, max_pixels INTEGER,
    identity TEXT, height INTEGER, width INTEGER, kind TEXT, fault TEXT,
    PRIMARY KEY (path, max_pixels)
)
"""
# Kind of a file that could not even be read. That says nothing of its content and may pass (rights,
# a network folder), so it is not remembered.
UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of one picture.

    Attributes:
        identity: sha256 of the encoded bytes, 64 hexadecimal digits; empty where unreadable.
        height, width: in pixels, upright.
        kind: as `tl.data.decode.picture_kind` names it, or `UNREAD`.
        fault: why it cannot be used, or None.
    """

    identity: str
    height: int
    width: int
    kind: str
    fault: str | None


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where tl keeps what can be made again (``TL_CACHE_DIR``, else the user's cache)."""
    if "TL_CACHE_DIR" in environ:
        return Path(environ["TL_CACHE_DIR"])
    return Path(environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "tl"


def inspect_examples(
    examples: Sequence[Example],
    *,
    max_pixels: int,
    cache: Path | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Inspection]:
    """Decode every picture once, on all cores (the decoders free Python's lock).

    Args:
        examples: what a source gave.
        max_pixels: larger pictures are refused before decoding.
        cache: folder that remembers results; None reads everything.
        on_progress: told the number of pictures done so far.

    Returns:
        One inspection per example, in order. Nothing is raised for a bad picture.
    """
    stamps = [example.stamp() for example in examples]
    remembered = _remembered(cache, stamps, max_pixels)
    todo = [index for index, stamp in enumerate(stamps) if stamp is None or stamp not in remembered]
    found: dict[int, Inspection] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        looks = pool.map(lambda index: _inspect(examples[index], max_pixels), todo)
        for done, (index, inspection) in enumerate(zip(todo, looks, strict=True), start=1):
            found[index] = inspection
            on_progress(done)
    if cache is not None:
        fresh = [
            (stamp, inspection)
            for index, inspection in found.items()
            if (stamp := stamps[index]) is not None and inspection.kind != UNREAD
        ]
        _remember(cache, fresh, max_pixels)
    return [
        found[index] if index in found else remembered[stamp]  # type: ignore[index]
        for index, stamp in enumerate(stamps)
    ]


def _inspect(example: Example, max_pixels: int) -> Inspection:
    try:
        data = example.read()
    except DatasetError as error:
        return Inspection("", 0, 0, UNREAD, str(error))
    try:
        image = decode_picture(data, max_pixels)
    except DatasetError as error:
        return Inspection("", 0, 0, "other", str(error))
    identity = hashlib.sha256(data).hexdigest()
    return Inspection(identity, image.shape[0], image.shape[1], picture_kind(data), None)


def _open(cache: Path) -> closing[sqlite3.Connection]:
    cache.mkdir(parents=True, exist_ok=True)
    return closing(sqlite3.connect(cache / "inspections.sqlite", timeout=10))


def _remembered(
    cache: Path | None, stamps: Sequence[Stamp | None], max_pixels: int
) -> dict[Stamp, Inspection]:
    if cache is None:
        return {}
    wanted = {stamp for stamp in stamps if stamp is not None}
    parents = {os.path.commonpath([stamp[0] for stamp in wanted])} if wanted else set()
    try:
        with _open(cache) as connection:
            connection.execute(_SCHEMA)
            rows = [
                row
                for parent in parents
                for row in connection.execute(
                    "SELECT path, size, mtime_ns, identity, height, width, kind, fault "
                    "FROM inspection_v2 WHERE max_pixels = ? AND path >= ? AND path < ?",
                    (max_pixels, parent, parent + "\U0010ffff"),
                )
            ]
    except (sqlite3.Error, OSError, UnicodeError):
        # The cache saves time only; without it everything is read. (A name that is no Unicode
        # cannot be stored.)
        return {}
    return {row[:3]: Inspection(*row[3:]) for row in rows if row[:3] in wanted}


def _remember(cache: Path, fresh: Sequence[tuple[Stamp, Inspection]], max_pixels: int) -> None:
    try:
        with _open(cache) as connection, connection:
            connection.execute(_SCHEMA)
            connection.executemany(
                "INSERT OR REPLACE INTO inspection_v2 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *stamp,
                        max_pixels,
                        seen.identity,
                        seen.height,
                        seen.width,
                        seen.kind,
                        seen.fault,
                    )
                    for stamp, seen in fresh
                ],
            )
    except (sqlite3.Error, OSError, UnicodeError):
        return  # a full or read-only cache loses nothing
