"""A model's weights on disk, as Keras writes them: aside, then renamed."""

import math
import os
import shutil
import tempfile
from errno import ENOSPC
from pathlib import Path

import keras

from tl.errors import TrainingError
from tl.written_aside import written_aside


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
