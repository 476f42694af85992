"""Weights and optimizer on disk, to go on after an interruption: written aside, then renamed."""

import math
import os
import re
import shutil
import tempfile
from errno import ENOSPC
from pathlib import Path

import keras

from tl.errors import TrainingError
from tl.written_aside import written_aside

_NAME = re.compile(r"step-(\d+)\.weights\.h5")


def save_checkpoint(model: keras.Model, folder: Path, step: int) -> Path:
    """Write model and optimizer after ``step`` updates; the one before is kept, older ones go.

    Raises:
        TrainingError: the disk is full or not writable; the last checkpoint is untouched.
    """
    path = folder / f"step-{step:08d}.weights.h5"
    save_weights(model, path)
    for old in sorted(_steps(folder))[:-2]:
        (folder / f"step-{old:08d}.weights.h5").unlink(missing_ok=True)
    return path


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a ``.weights.h5`` file in one step.

    Raises:
        TrainingError: it cannot be written; nothing half-written stays.
    """
    try:
        with written_aside(path) as aside:
            _refuse_full_disk(path.parent, _file_bytes(model))
            model.save_weights(aside)
    except OSError as error:
        raise TrainingError(f"cannot write weights to {path}: {error.strerror or error}") from error


def _file_bytes(model: keras.Model) -> int:
    """Return an upper bound of what `save_weights` writes."""
    variables = list(model.variables)
    if getattr(model, "optimizer", None) is not None:
        variables += model.optimizer.variables
    # float32; HDF5 keeps each variable in groups of its own, 1.5 KB beside the values (measured).
    return 2**16 + sum(2048 + 4 * int(math.prod(one.shape)) for one in variables)


def _refuse_full_disk(folder: Path, size: int) -> None:
    """Raise OSError where ``size`` bytes do not fit: HDF5 would crash the process (seen: h5py 3).

    The room is really taken for a moment, which quotas and network disks answer truly.
    """
    if hasattr(os, "posix_fallocate"):
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    elif shutil.disk_usage(folder).free < size:
        raise OSError(ENOSPC, os.strerror(ENOSPC))


def restore_checkpoint(model: keras.Model, folder: Path) -> int:
    """Load the newest checkpoint into a compiled model, and return its step; 0 without one.

    Raises:
        TrainingError: it does not belong to this model.
    """
    steps = _steps(folder)
    if not steps:
        return 0
    path = folder / f"step-{max(steps):08d}.weights.h5"
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{path} is damaged or belongs to another model; move {folder} away to begin anew"
        ) from error
    return max(steps)


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
