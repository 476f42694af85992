"""Samples and folds in which every class has its share, and no twins on two sides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.config import DataConfig
from tl.data.prepare import read_pictures
from tl.data.strata import strata_of, stratified_folds, stratified_order, units_of

strata_lists = st.lists(st.integers(0, 5), min_size=1, max_size=60)


@given(strata_lists, st.integers(0, 5))
def test_order_is_a_permutation_whose_beginnings_have_every_share(
    strata: list[int], seed: int
) -> None:
    kinds = np.array(strata)
    order = stratified_order(kinds, seed)

    assert sorted(order.tolist()) == list(range(len(kinds)))
    names, sizes = np.unique(kinds, return_counts=True)
    for count in range(len(names), len(kinds) + 1):
        found = [(kinds[order[:count]] == name).sum() for name in names]
        assert min(found) >= 1
        for got, size in zip(found, sizes, strict=True):
            assert abs(got - count * size / len(kinds)) <= len(names)


def test_another_seed_takes_other_pictures_of_the_same_classes() -> None:
    strata = np.repeat([0, 1], [80, 20])

    one, other = (stratified_order(strata, seed)[:10] for seed in (0, 1))

    assert set(one) != set(other)
    assert (strata[one] == 1).sum() == (strata[other] == 1).sum() == 2


@given(strata_lists, st.integers(2, 6), st.integers(0, 5))
def test_folds_have_equal_shares_of_every_class(strata: list[int], n_folds: int, seed: int) -> None:
    kinds = np.array(strata)
    folds = stratified_folds(kinds, [str(n) for n in range(len(kinds))], n_folds, seed)

    for name in np.unique(kinds):
        counts = np.bincount(folds[kinds == name], minlength=n_folds)
        assert counts.max() - counts.min() <= 1
    assert folds.max() + 1 == min(n_folds, len(kinds))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40))
def test_equal_names_share_a_fold(names: list[str]) -> None:
    folds = stratified_folds(np.zeros(len(names)), names, 3, 0)

    assert len(set(zip(names, folds.tolist(), strict=True))) == len(set(names))


def test_folds_do_not_depend_on_the_order_of_pictures() -> None:
    names, strata = [f"p{n}" for n in range(30)], np.arange(30) % 3
    shuffled = np.random.default_rng(0).permutation(30)

    there = stratified_folds(strata, names, 5, 7)
    back = stratified_folds(strata[shuffled], [names[n] for n in shuffled], 5, 7)

    assert back.tolist() == there[shuffled].tolist()


def test_numbers_are_in_bands_of_equal_size(discs: Path) -> None:
    config = DataConfig(problem="regression", label_column="diameter")
    pictures = read_pictures(str(discs), config, cache=None).examples

    bands = strata_of(pictures)

    assert np.bincount(bands).tolist() == [9] * 10
    assert pictures.values is not None
    lows = [pictures.values[bands == band].min() for band in range(10)]
    highs = [pictures.values[bands == band].max() for band in range(10)]
    assert all(high <= low for high, low in zip(highs, lows[1:], strict=False))


@pytest.mark.parametrize("grouped", [False, True])
def test_twins_and_groups_are_units(
    grouped: bool, tmp_path: Path, make_pictures: Callable[..., Path]
) -> None:
    folder = make_pictures(tmp_path / "pets", {"cats": 4, "dogs": 4})
    (folder / "cats" / "twin.jpg").write_bytes((folder / "cats" / "00.jpg").read_bytes())
    rows = ["cats/00.jpg,cats,ann", "cats/twin.jpg,cats,", "cats/01.jpg,cats,ann",
            "dogs/00.jpg,dogs,bob", "dogs/01.jpg,dogs,"]  # fmt: skip
    table = folder / "t.csv"
    table.write_text("\n".join(["path,label,group", *rows]) + "\n")
    spec: Any = table if grouped else folder

    pictures = read_pictures(str(spec), DataConfig(), cache=None).examples
    unit = dict(zip(pictures.keys, units_of(pictures), strict=True))

    if grouped:
        assert unit["cats/00.jpg"] == unit["cats/01.jpg"] != unit["dogs/00.jpg"]
        assert len(set(unit.values())) == 4
    else:
        assert unit["cats/00.jpg"] == unit["cats/twin.jpg"]
        assert len(set(unit.values())) == len(unit) - 1
