"""Files that appear complete or not at all."""

import contextlib
import os
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
    aside = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(target)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
