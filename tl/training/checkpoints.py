"""What a run needs to go on after it was killed: named arrays and facts in one checked file.

Receives arrays and plain values, gives them back to the bit or says that it cannot. A file's name
ends with the beginning of its own sha256, so that damage of any kind shows; it is written aside and
renamed, and the one before it is kept, so that a kill at any moment leaves one to go on from.
"""

import hashlib
import io
import json
import logging
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.errors import TrainingError
from tl.written_aside import written_aside

FORMAT = 2
"""Raise it when what is stored changes its meaning."""
KEPT = 2
_NAME = re.compile(r"checkpoint-\d{8}-[0-9a-f]{16}\.npz")
_FACTS = "facts.json"
_log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What was stored.

    Attributes:
        path: its file.
        facts: plain values, as JSON keeps them.
        arrays: by the names they were given.
    """

    path: Path
    facts: dict[str, Any]
    arrays: Arrays


def write_checkpoint(
    folder: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Path:
    """Write a checkpoint and remove all but the one before it.

    Args:
        folder: for checkpoints; made where it is missing.
        facts: plain values.
        arrays: of numbers.

    Raises:
        OSError: the disk is full or not writable; the checkpoints before are untouched.
    """
    # In memory first: the name has the hash, and a file is either whole or not begun.
    buffer = io.BytesIO()
    text = json.dumps({"format": FORMAT, **facts}).encode()
    named: dict[str, Any] = {_FACTS: np.frombuffer(text, np.uint8), **arrays}
    np.savez(buffer, **named)
    content = buffer.getbuffer()
    earlier = _newest_first(folder)
    number = 1 + (_number(earlier[0]) if earlier else 0)
    path = folder / f"checkpoint-{number:08d}-{_digest(content)}.npz"
    with written_aside(path) as aside, aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a rename may outlive the content when the power goes
    for old in earlier[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return path


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint, or None; damaged ones are named in the log.

    Raises:
        TrainingError: it was written by another version of tl.
    """
    for path in _newest_first(folder):
        try:
            content = path.read_bytes()
            if _digest(content) != path.stem.rpartition("-")[2]:
                raise ValueError("its checksum is wrong")
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            _log.warning("%s is damaged (%s) and left out", path, error)
            continue
        if facts.get("format") != FORMAT:
            raise TrainingError(
                f"{path} was written by another version of tl (its format is "
                f"{facts.get('format')!r}, this one reads {FORMAT}); go on with that version, or "
                "begin a new run"
            )
        return Checkpoint(path, facts, arrays)
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove what a finished run needs no more."""
    for path in _newest_first(folder):
        path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=_number, reverse=True)


def _number(path: Path) -> int:
    return int(path.name.split("-")[1])


def _digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
