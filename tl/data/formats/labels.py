"""Class names and label numbers from whatever a file calls its classes; or the numbers it gives."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.data.example import Column, column
from tl.errors import DatasetError


def number_labels(values: Sequence[Any], where: str) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Give every different value a number: integers by size, names by alphabet.

    Args:
        values: str or int, one a picture.
        where: the file, for messages.

    Returns:
        Class names, and the label of each value.

    Raises:
        DatasetError: names that cannot be printed, or as many classes as pictures.
    """
    different = set(values)
    if len(different) == len(values) > 2:
        some = ", ".join(repr(str(value)) for value in sorted(map(str, different))[:3])
        raise DatasetError(
            f"{where}: each of the {len(values):,} pictures has a label of its own ({some}, ...). "
            "Is that the file's name? Name the column of the classes with --set "
            "data.label_column=...; numbers to be learned need --problem regression"
        )
    by_size = all(_is_integer(value) for value in different)
    ordered = sorted(different, key=int) if by_size else sorted(different, key=str)
    names = [str(value) for value in ordered]
    for name in names:
        if not name.isprintable():
            raise DatasetError(f"{where}: the label {name!r} cannot be printed; rename it")
    numbers = {value: number for number, value in enumerate(ordered)}
    return tuple(names), np.fromiter((numbers[value] for value in values), np.int32, len(values))


def number_label_sets(
    sets: list[list[Any]], where: str
) -> tuple[tuple[str, ...], NDArray[np.int32], Column | None]:
    """Number the labels of pictures that may have several; one without any is refused.

    Where each has just one, they are labels like any other.
    """
    flat = [label for labels in sets for label in labels or ()]
    for row, labels in enumerate(sets, start=1):
        if not labels or any(label is None for label in labels):
            raise DatasetError(f"{where}: row {row} has no label, or an empty one among several")
    different = dict.fromkeys(flat)
    names, numbers = number_labels([*different, *different], where)
    number = dict(zip(different, numbers.tolist()[: len(different)], strict=True))
    label_sets = [tuple(sorted({number[label] for label in labels})) for labels in sets]
    if max(map(len, label_sets)) == 1:
        return names, np.array([labels[0] for labels in label_sets], np.int32), None
    return names, np.array([labels[0] for labels in label_sets], np.int32), column(label_sets)


def hugging_face_names(metadata: Any, name: str) -> tuple[str, ...] | None:
    """Return the class names that Hugging Face's datasets write into Parquet, or None."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[name]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def read_numbers(values: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.float32]:
    """Read labels as numbers to be learned.

    Args:
        values: numbers, or text of one, one a picture.
        where: what messages call the label at a place.

    Raises:
        DatasetError: text that is no number, or one that is not finite in 32 bits.
    """
    numbers = np.empty(len(values), np.float32)
    for place, value in enumerate(values):
        try:
            with np.errstate(over="ignore"):
                numbers[place] = float(value)
        except (TypeError, ValueError, OverflowError):
            numbers[place] = np.nan
        if not np.isfinite(numbers[place]):
            raise DatasetError(f"{where(place)} is {value!r}, no finite number")
    return numbers


def _is_integer(value: object) -> bool:
    return isinstance(value, int) or (
        isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit()
    )
