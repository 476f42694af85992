"""Open the pictures of an earlier run again, on the sides they had then."""

import dataclasses
from pathlib import Path

from tl.data.inspect import cache_folder
from tl.data.prepare import PreparedData, prepare_data
from tl.data.split import read_split
from tl.errors import ConfigError
from tl.run_folder import SPLIT, read_record


def reopen_data(folder: Path, dataset: str | None = None) -> PreparedData:
    """Read a run's dataset and keep the split that is stored with it.

    Args:
        folder: of the run.
        dataset: where the pictures lie now; None is where they were.

    Raises:
        ConfigError: the dataset is not there, or has none of the run's pictures.
    """
    record = read_record(folder)
    config = dataclasses.replace(record.config.data, split_file=str(folder / SPLIT))
    place = dataset or record.config.dataset
    try:
        data = prepare_data(place, config, seed=record.config.seed, cache=cache_folder())
    except ConfigError as error:
        if dataset is None and not Path(place).exists():
            raise ConfigError(
                f"the pictures of {folder.name} are no longer at {place}; name the place where "
                "they lie now with --dataset"
            ) from error
        raise
    if dataset is not None and not set(read_split(folder / SPLIT)) & set(data.split()):
        raise ConfigError(
            f"--dataset {dataset} has none of the pictures that {folder.name} was trained with"
        )
    return data
