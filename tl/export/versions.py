"""The directory that servers watch: ``<name>/<version>/``, versions positive integers.

A version is written aside under a name that no server takes for one, then renamed in one step.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tl.errors import ExportError

LEFT_SECONDS = 86400.0
"""Since a folder that is being written was touched: its model is measured for hours, at most."""


def list_versions(model_folder: Path) -> list[int]:
    """Return the versions of a model, ascending."""
    if not model_folder.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in model_folder.iterdir()
        if path.name.isascii() and path.name.isdigit() and int(path.name) > 0 and path.is_dir()
    )


def publish_version(model_folder: Path, write: Callable[[Path], None]) -> Path:
    """Write the next version and make it visible.

    Args:
        model_folder: ``<output>/<name>``; made if absent.
        write: fills an empty folder.

    Returns:
        The version's folder. Two processes at once get a number each.

    Raises:
        ExportError: not writable, or the disk is full; nothing half-written stays visible.
    """
    try:
        model_folder.mkdir(parents=True, exist_ok=True)
        _tidy(model_folder)
        aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=model_folder))
    except OSError as error:
        raise ExportError(
            f"cannot write to {model_folder}: {error.strerror or error}. Choose another --output"
        ) from error
    try:
        write(aside)
        aside.chmod(0o755)  # mkdtemp keeps others out; a server may run as another user
        return _claim(aside, model_folder)
    except OSError as error:
        raise ExportError(
            f"cannot write the SavedModel to {model_folder}: {error.strerror or error}. Free some "
            "space or choose another --output; no version was added"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _tidy(model_folder: Path) -> None:
    """Remove what exports that were killed have left; one that goes on is not so old."""
    for left in model_folder.glob(".writing-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def check_writable(model_folder: Path) -> None:
    """Fail now where the export at the end would.

    Raises:
        ExportError: not writable.
    """
    nearest = model_folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ExportError(f"cannot write to {model_folder}: {nearest} is a file")
    try:
        # Tried, because permissions tell root, and network file systems, little.
        Path(tempfile.mkdtemp(prefix=".writing-", dir=nearest)).rmdir()
    except OSError as error:
        raise ExportError(
            f"cannot write to {model_folder}: {nearest} is not writable "
            f"({error.strerror or error}). Choose another --output"
        ) from error


def _claim(aside: Path, model_folder: Path) -> Path:
    version = max(list_versions(model_folder), default=0) + 1
    while True:
        target = model_folder / str(version)
        try:
            # Renaming a folder onto an existing one that holds anything fails: the number is
            # taken, by another run at the same moment.
            aside.rename(target)
        except OSError:
            if not target.exists():
                raise
            version += 1
        else:
            return target
