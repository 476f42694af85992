"""Files that appear complete or not at all, and that nothing takes the place of."""

import contextlib
import itertools
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Give a hidden path beside a file; what the block writes takes the file's place at its end.

    A block that raises leaves the old file, or none. The folder is made where it is missing. The
    ending stays the same, because Keras and others choose a format by it.

    Raises:
        OSError: the folder or the file cannot be made.
    """
    # Two containers that share a folder may both be process 1.
    aside = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(target)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def remove_leftovers(target: Path, *, older_than_s: float) -> None:
    """Remove what killed processes left of `written_aside` beside a file; errors are passed over.

    Args:
        target: the file that they were writing.
        older_than_s: how long nobody has written to what is removed, in seconds.
    """
    hidden = re.compile(r"\.\d+-(?:[0-9a-f]{8}-)?" + re.escape(target.name))
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            if hidden.fullmatch(path.name) and time.time() - path.stat().st_mtime > older_than_s:
                path.unlink()


def keep_aside(path: Path, target: Path) -> Path:
    """Move a file to ``<target>.refused``, or ``.refused-2`` and so on where that is taken.

    Returns:
        Where it is now; no other file was replaced.

    Raises:
        OSError: the folder cannot be written to.
    """
    for number in itertools.count(1):
        place = target.with_name(f"{target.name}.refused" + (f"-{number}" if number > 1 else ""))
        # An empty file reserves the name: of two processes, one only can make it.
        with contextlib.suppress(FileExistsError):
            place.touch(exist_ok=False)
            return path.replace(place)
    raise AssertionError
