"""Open the pictures of an earlier run again, on the sides they had then."""

import dataclasses
from pathlib import Path

from tl.data.inspect import cache_folder
from tl.data.prepare import PreparedData, prepare_data
from tl.run_folder import SPLIT, read_record


def reopen_data(folder: Path) -> PreparedData:
    """Read a run's dataset and keep the split that is stored with it.

    Raises:
        ConfigError: the dataset is not where it was.
    """
    record = read_record(folder)
    config = dataclasses.replace(record.config.data, split_file=str(folder / SPLIT))
    return prepare_data(
        record.config.dataset, config, seed=record.config.seed, cache=cache_folder()
    )
