"""Parts of a dataset in which every kind of picture has its share: folds and samples.

Pure functions of columns and a seed; the order of the pictures does not count where their names
are the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.data.example import Dataset

Rows = NDArray[np.int64]
VALUE_BANDS = 10
"""Strata of a number: as many pictures in each, from the lowest values to the highest."""


def strata_of(dataset: Dataset) -> Rows:
    """Return what kind each picture is of, int64 (n,): its class, the first of several, or band."""
    if dataset.values is None:
        return dataset.labels.astype(np.int64)
    ranks = np.argsort(np.argsort(dataset.values, kind="stable"), kind="stable")
    return (ranks * VALUE_BANDS // max(1, len(dataset))).astype(np.int64)


def units_of(dataset: Dataset) -> Sequence[str]:
    """Name what may not be torn apart: the group of each picture, or its content, or its name."""
    names = dataset.keys if dataset.identities is None else dataset.identities
    if dataset.groups is None:
        return [str(name) for name in names]
    return [
        f"picture {name}" if group is None else f"group {group}"
        for name, group in zip(names, dataset.groups, strict=True)
    ]


def stratified_order(strata: NDArray[Any], seed: int) -> Rows:
    """Return an order of which every beginning has its share of each stratum, to one picture.

    It begins with a picture of every stratum, so that a sample of a few has the rare ones too.

    Args:
        strata: (n,), what kind each picture is of.
        seed: of the order within a stratum.
    """
    chance = np.random.default_rng(seed).random(len(strata))
    by_stratum = np.lexsort((chance, strata))
    _, number, sizes = np.unique(strata[by_stratum], return_inverse=True, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = (np.arange(len(strata)) - starts[number]) / sizes[number]
    return np.asarray(by_stratum[np.lexsort((chance[by_stratum], place))], np.int64)


def stratified_folds(
    strata: NDArray[Any], units: Sequence[str], n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of every picture, 0 to below ``n_folds``, or fewer where units are fewer.

    Args:
        strata: (n,), each of which is spread evenly; a unit counts where its first picture does.
        units: (n,), names; equal ones share a fold, for a probe that has seen a picture's twin is
            not asked anything new.
        n_folds: 2 or more.
        seed: of the deal.
    """
    _, first, unit = np.unique(
        np.array(units, object).astype(str), return_index=True, return_inverse=True
    )
    chance = np.random.default_rng(seed).random(len(first))
    folds = np.empty(len(first), np.int64)
    # Dealt out one stratum after the other, so that no two folds' shares differ by more than one.
    folds[np.lexsort((chance, np.asarray(strata)[first]))] = np.arange(len(first)) % n_folds
    return folds[unit]
