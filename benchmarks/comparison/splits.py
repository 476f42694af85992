"""Who learns from, chooses by and is tested on which picture: the same for every contender.

Receives the keys of pictures, ``class/file``; gives folds of them, and folders of links that tl
and the peers read alike.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

VAL_SHARE = 0.15
"""Of all pictures, as tl takes by itself."""

Side = Literal["train", "val", "test"]
Split = Mapping[Side, tuple[str, ...]]


def picture_keys(root: Path) -> tuple[str, ...]:
    """Return ``class/file`` of every picture below a folder of class folders, sorted."""
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.*")))


def class_of(key: str) -> str:
    """Return the class that a picture's key names."""
    return key.split("/", 1)[0]


def make_fold(keys: Iterable[str], *, n_folds: int, fold: int, seed: int) -> Split:
    """Divide pictures class by class, in an order that the seed draws.

    The test sides of the folds of one seed have no picture in common and cover all of them.

    Args:
        keys: of all pictures.
        n_folds: parts, 2 or more.
        fold: which part is tested on, from 0.
        seed: draws the parts.
    """
    sides: dict[Side, list[str]] = {"train": [], "val": [], "test": []}
    for place, members in enumerate(_by_class(keys).values()):
        order = np.random.default_rng((seed, place)).permutation(len(members))
        drawn = [members[int(one)] for one in order]
        rest = [key for at, key in enumerate(drawn) if at % n_folds != fold]
        n_val = round(VAL_SHARE * len(members))
        sides["test"] += drawn[fold::n_folds]
        sides["val"] += rest[:n_val]
        sides["train"] += rest[n_val:]
    return {side: tuple(found) for side, found in sides.items()}


def few_shot(split: Split, shots: int) -> Split:
    """Keep so many training pictures a class; fewer are among the more."""
    kept = [key for members in _by_class(split["train"]).values() for key in members[:shots]]
    return {**split, "train": tuple(kept)}


def _by_class(keys: Iterable[str]) -> dict[str, list[str]]:
    """Group keys by class, the classes sorted, their pictures in the order given."""
    classes: dict[str, list[str]] = {}
    for key in keys:
        classes.setdefault(class_of(key), []).append(key)
    return dict(sorted(classes.items()))


def link_split(split: Split, root: Path, folder: Path) -> Path:
    """Make ``folder``/side/class/file, links to the pictures below ``root``; return ``folder``."""
    for side, keys in split.items():
        for key in keys:
            link = folder / side / key
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((root / key).resolve())
    return folder
