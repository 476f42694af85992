"""A list of pictures that are not to be learned from, as ``suspects.csv`` of a run is one.

A CSV with a column ``key``, the name of a picture as messages call it, or ``identity``, its content
hash, which also holds after the picture was renamed. Other columns are for people.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tl.errors import ConfigError

COLUMNS = ("identity", "key")


def excluded_places(
    path: Path, keys: Iterable[str], identities: Iterable[str]
) -> NDArray[np.bool_]:
    """Return which pictures a list names, bool (n,).

    Args:
        path: of the CSV.
        keys: of the pictures.
        identities: of the pictures.

    Raises:
        ConfigError: no such file, none of the columns, or no picture of these in it.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = [name for name in COLUMNS if name in (rows.fieldnames or ())]
            if not columns:
                raise ConfigError(
                    f"--exclude {path}: its first line has neither 'key' nor 'identity' among "
                    f"{', '.join(rows.fieldnames or ()) or 'nothing'}; give a CSV such as a run's "
                    "suspects.csv"
                )
            names = [tuple((row[name] or "").strip() for name in columns) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"--exclude {path}: cannot be read as CSV: {reason}") from error
    # By content where a row has it: the file may have been renamed, and its name taken by another.
    wanted: dict[str, set[str]] = {name: set() for name in COLUMNS}
    for row in names:
        for column, value in zip(columns, row, strict=True):
            if value:
                wanted[column].add(value)
                break
    found = np.array(
        [
            key in wanted["key"] or identity in wanted["identity"]
            for key, identity in zip(keys, identities, strict=True)
        ],
        bool,
    )
    if names and not found.any():
        raise ConfigError(
            f"--exclude {path}: none of its {len(names):,} pictures is in this dataset; the first "
            f"is {' '.join(names[0])}"
        )
    return found
