"""A `BatchingParameters` text file, as `--batching_parameters_file` takes it, as options.

    max_batch_size { value: 32 }
    batch_timeout_micros { value: 1000 }
    allowed_batch_sizes: 8
    allowed_batch_sizes: 32

What a file does not say has TF Serving's default.
"""

import os
from pathlib import Path
from typing import Any

from serving.config import BatchOptions
from serving.config_messages import BatchingParameters
from serving.errors import StartError, UsageError
from serving.text_proto import read_text_proto

FILE_OF_MODEL = "batching_params.pbtxt"


def read_batching_file(path: Path) -> BatchOptions:
    """Read options from a file.

    Raises:
        StartError: it cannot be read, is no `BatchingParameters`, or asks for what cannot be.
    """
    message = read_text_proto(path, BatchingParameters())
    try:
        return _options(message)
    except UsageError as error:
        raise StartError(f"{path}: {error.message}") from error


def tf_serving_defaults() -> BatchOptions:
    """Return what `--enable_batching` means without a file."""
    return _options(BatchingParameters())


def _options(message: Any) -> BatchOptions:
    def value(name: str, default: int) -> int:
        return int(getattr(message, name).value) if message.HasField(name) else default

    size = value("max_batch_size", 1000)
    splits = message.enable_large_batch_splitting.value
    return BatchOptions(
        max_batch_size=size,
        batch_timeout_micros=value("batch_timeout_micros", 0),
        max_enqueued_batches=value("max_enqueued_batches", 10),
        num_batch_threads=value("num_batch_threads", os.cpu_count() or 1),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        splits_large=splits,
        max_execution_batch_size=value("max_execution_batch_size", size) if splits else size,
    )
