import hashlib
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl.data.example import SIDES, Side
from tl.data.split import assign_sides, draw, few_shot, read_split, write_split
from tl.errors import DatasetError

NAMES = ("ant", "bee", "cow")


def identity(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def assign(
    identities: list[str],
    labels: list[int],
    *,
    seed: int = 0,
    val: float = 0.2,
    test: float = 0.2,
    given: list[Side | None] | None = None,
    groups: list[str | None] | None = None,
    earlier: dict[str, Side] | None = None,
) -> list[Side]:
    sides = assign_sides(
        identities, labels, class_names=NAMES, seed=seed, val_fraction=val, test_fraction=test,
        given=given, groups=() if groups is None else [groups], earlier=earlier,
    )  # fmt: skip
    assert None not in sides
    return [side for side in sides if side]


def many(per_class: int, first: int = 0) -> tuple[list[str], list[int]]:
    """Enough pictures of every class that no side stays empty and has to be filled."""
    count = per_class * len(NAMES)
    return [identity(first + i) for i in range(count)], [i % len(NAMES) for i in range(count)]


def by_identity(identities: list[str], sides: list[Side]) -> dict[str, Side]:
    return dict(zip(identities, sides, strict=True))


SEEDS = st.integers(0, 2**31 - 1)
FRACTIONS = st.floats(0.0, 0.45)


@given(SEEDS, FRACTIONS, FRACTIONS, st.lists(st.integers(3, 20), min_size=3, max_size=3))
@settings(deadline=None)
def test_split_gives_every_picture_a_side_and_every_class_a_picture_on_each(
    seed: int, val: float, test: float, counts: list[int]
) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    identities = [identity(i) for i in range(len(labels))]

    sides = assign(identities, labels, seed=seed, val=val, test=test)

    wanted = {"train"} | ({"val"} if val > 0 else set()) | ({"test"} if test > 0 else set())
    assert len(sides) == len(identities)
    assert set(zip(labels, sides, strict=True)) == {(i, side) for i in range(3) for side in wanted}


@given(st.lists(st.integers(0, 2), min_size=3, max_size=14), SEEDS)
@settings(max_examples=300, deadline=None)
def test_class_without_enough_pictures_is_named_with_the_way_out(
    labels: list[int], seed: int
) -> None:
    identities = [identity(i) for i in range(len(labels))]
    counts = Counter(labels)
    short = [NAMES[label] for label in range(3) if counts[label] < 3]

    try:
        sides = assign(identities, labels, seed=seed)
    except DatasetError as error:
        message = str(error)
        assert f"class {short[0]!r} has {counts[NAMES.index(short[0])]} different" in message
        assert "train and val and test needs 3" in message
        assert "Add pictures" in message
        assert "data.val_fraction=0" in message
    else:
        assert not short
        assert len(set(zip(labels, sides, strict=True))) == 9


@given(SEEDS, st.integers(0, 1000), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_adding_removing_and_reordering_pictures_moves_no_other(
    seed: int, first: int, rng: random.Random
) -> None:
    identities, labels = many(60, first)
    before = by_identity(identities, assign(identities, labels, seed=seed))
    pairs = list(zip(identities, labels, strict=True))
    pairs = [pair for i, pair in enumerate(pairs) if i % 7] + [
        (identity(10_000 + i), i % 3) for i in range(50)
    ]
    rng.shuffle(pairs)
    fewer, their_labels = [one for one, _ in pairs], [label for _, label in pairs]

    after = by_identity(fewer, assign(fewer, their_labels, seed=seed))

    assert {one: side for one, side in after.items() if one in before} == {
        one: side for one, side in before.items() if one in after
    }


@given(SEEDS, st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_same_picture_twice_is_on_one_side(seed: int, copies: int) -> None:
    identities, labels = many(20)
    identities, labels = identities + identities[:copies], labels + labels[:copies]

    sides = assign(identities, labels, seed=seed)

    assert sides[-copies:] == sides[:copies]


def test_picture_under_two_labels_is_on_one_side() -> None:
    identities, labels = many(20)

    sides = assign([*identities, identities[0]], [*labels, 2])

    assert sides[-1] == sides[0]


def test_another_seed_is_another_split() -> None:
    identities, labels = many(50)

    assert assign(identities, labels, seed=1) != assign(identities, labels, seed=2)
    assert assign(identities, labels, seed=1) == assign(identities, labels, seed=1)


@pytest.mark.parametrize(("val", "test"), [(0.15, 0.15), (0.3, 0.1), (0.0, 0.25)])
def test_sides_have_their_fractions_in_expectation(val: float, test: float) -> None:
    identities, labels = many(4000)

    counts = Counter(assign(identities, labels, val=val, test=test))

    n = len(identities)  # four standard deviations of a share of n draws are below 0.02
    assert counts["val"] / n == pytest.approx(val, abs=0.02)
    assert counts["test"] / n == pytest.approx(test, abs=0.02)


@given(SEEDS)
def test_draw_is_a_number_from_0_to_below_1(seed: int) -> None:
    assert 0 <= draw(identity(seed), seed) < 1


def test_draw_is_what_it_has_always_been() -> None:
    # The split of every dataset rests on it: sha256 of "7:x", its first 8 bytes over 2**64.
    expected = int(hashlib.sha256(b"7:x").hexdigest()[:16], 16) / 2**64

    assert draw("x", 7) == expected


def test_empty_side_is_filled_with_the_picture_drawn_nearest_to_it() -> None:
    # All three draws are below 0.9, so all would test; the largest train, then validate.
    one_class = sorted((identity(i) for i in range(100)), key=lambda one: draw(one, 0))[:3]
    others, labels = many(30, first=1000)
    others = [one for one, label in zip(others, labels, strict=True) if label]
    labels = [label for label in labels if label]

    sides = assign([*one_class, *others], [0, 0, 0, *labels], val=0.05, test=0.9)

    assert sides[:3] == ["test", "val", "train"]


@given(SEEDS, st.lists(st.sampled_from(SIDES), min_size=60, max_size=60))
@settings(max_examples=40, deadline=None)
def test_given_sides_are_kept(seed: int, drawn: list[Side]) -> None:
    identities, labels = many(20)
    one_each: list[Side | None] = [SIDES[i // 3] for i in range(9)]
    given_sides = one_each + drawn[9:]

    assert assign(identities, labels, seed=seed, given=given_sides) == given_sides


@pytest.mark.parametrize(
    ("there", "missing"), [("test", "val"), ("val", "test")], ids=["no val", "no test"]
)
def test_side_that_is_not_given_comes_from_training(there: Side, missing: Side) -> None:
    identities, labels = many(40)
    given_sides: list[Side | None] = [
        there if i % 4 == 0 else "train" for i in range(len(identities))
    ]

    sides = assign(identities, labels, given=given_sides)

    assert all(
        (side == there) == (own == there) for side, own in zip(sides, given_sides, strict=True)
    )
    assert 0.1 < Counter(sides)[missing] / given_sides.count("train") < 0.3


def test_picture_given_on_two_sides_is_kept_from_training() -> None:
    identities, labels = many(20)
    given_sides: list[Side | None] = [SIDES[i // 3 % 3] for i in range(60)]
    train, test = given_sides.index("train"), given_sides.index("test")
    identities[train], labels[train] = identities[test], labels[test]

    sides = assign(identities, labels, given=given_sides)

    assert sides[train] == sides[test] == "test"


@given(SEEDS, SEEDS)
@settings(max_examples=30, deadline=None)
def test_earlier_split_is_kept_and_new_pictures_join(seed: int, other_seed: int) -> None:
    identities, labels = many(30)
    earlier = by_identity(identities, assign(identities, labels, seed=seed))
    new, new_labels = many(30, first=5000)

    sides = by_identity(
        identities + new,
        assign(identities + new, labels + new_labels, seed=other_seed, earlier=earlier),
    )

    assert {one: sides[one] for one in identities} == earlier
    assert len({sides[one] for one in new}) == 3


def test_new_picture_may_fill_a_side_that_the_earlier_split_left_empty() -> None:
    identities, labels = many(20)
    earlier: dict[str, Side] = dict.fromkeys(identities, "train")
    new = [identity(i) for i in range(900, 906)]

    sides = assign([*identities, *new], [*labels, 0, 0, 1, 1, 2, 2], earlier=earlier)

    assert sides[:60] == ["train"] * 60
    assert {frozenset(sides[at : at + 2]) for at in (60, 62, 64)} == {frozenset({"val", "test"})}


def test_class_bound_by_an_earlier_split_is_refused_with_the_reason() -> None:
    identities, labels = many(5)
    earlier: dict[str, Side] = dict.fromkeys(identities, "train")

    with pytest.raises(DatasetError, match=r"class 'ant' has no picture on test.*5 on train"):
        assign(identities, labels, earlier=earlier)


def test_class_that_is_in_the_test_folder_only_is_refused_with_the_reason() -> None:
    identities, labels = many(4)
    given_sides: list[Side | None] = [
        "test" if label == 2 else SIDES[i // 3 % 3] for i, label in enumerate(labels)
    ]

    with pytest.raises(DatasetError, match=r"class 'cow' has no picture on train.*4 on test"):
        assign(identities, labels, given=given_sides)


@given(st.dictionaries(st.text(max_size=20), st.sampled_from(SIDES)))
@settings(deadline=None)
def test_split_file_round_trips(split: dict[str, Side]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.json"
        write_split(path, split)

        assert read_split(path) == split


GOOD = {"train": ["a", "b"], "val": ["c"], "test": []}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "7", '"train"',
        json.dumps({"train": ["a"], "val": []}),
        json.dumps(GOOD | {"val": "abc"}),
        json.dumps(GOOD | {"val": 5}),
        json.dumps(GOOD | {"val": [5]}),
        json.dumps(GOOD | {"val": [["c"]]}),
        json.dumps(GOOD | {"val": {"c": 1}}),
        json.dumps(GOOD | {"val": ["a"]}),
        json.dumps(GOOD | {"dev": ["d"]}),
    ],
)  # fmt: skip
def test_damaged_split_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)

    with pytest.raises(DatasetError, match=r"split\.json is no split file of tl"):
        read_split(path)


def test_split_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DatasetError, match="is no split file"):
        read_split(tmp_path / "split.json")
    with pytest.raises(DatasetError, match="cannot read the split .*none.json: No such file"):
        read_split(tmp_path / "none.json")


GROUPS = st.lists(st.one_of(st.none(), st.sampled_from([f"g{n}" for n in range(25)])),
                  min_size=120, max_size=120)  # fmt: skip


@given(SEEDS, GROUPS)
@settings(max_examples=60, deadline=None)
def test_group_is_on_one_side_and_every_class_on_each(seed: int, groups: list[str | None]) -> None:
    identities, labels = many(40)

    sides = assign(identities, labels, seed=seed, groups=groups)

    by_group: dict[str, set[Side]] = {}
    for group, side in zip(groups, sides, strict=True):
        if group is not None:
            by_group.setdefault(group, set()).add(side)
    assert all(len(found) == 1 for found in by_group.values())
    assert len(set(zip(labels, sides, strict=True))) == 9


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_groups_that_share_a_picture_are_one(seed: int) -> None:
    identities, labels = many(20)
    groups: list[str | None] = ["a", "a", "b", "b", "c", *[None] * 55]
    identities[2] = identities[1]  # a and b share it
    identities[5] = identities[4]  # and one of c is there without its group again

    sides = assign(identities, labels, seed=seed, groups=groups)

    assert len(set(sides[:4])) == 1
    assert sides[4] == sides[5]


def test_new_picture_joins_the_side_of_its_group() -> None:
    identities, labels = many(30)
    earlier: dict[str, Side] = dict.fromkeys(identities[:60], "train")
    earlier |= {identities[0]: "test", identities[1]: "val", identities[2]: "train"}
    groups: list[str | None] = [None] * 90
    groups[0] = groups[80] = "g"
    groups[1] = groups[81] = "h"

    sides = assign(identities, labels, groups=groups, earlier=earlier)

    assert (sides[80], sides[81]) == ("test", "val")
    assert by_identity(identities[:60], sides[:60]) == earlier


def test_new_picture_of_a_group_on_two_sides_is_left_out() -> None:
    identities, labels = many(30)
    earlier: dict[str, Side] = {identities[0]: "test", identities[1]: "train"}
    groups: list[str | None] = ["g", "g", "g", *[None] * 87]

    sides = assign_sides(
        identities, labels, class_names=NAMES, seed=0, val_fraction=0.2, test_fraction=0.2,
        groups=[groups], earlier=earlier,
    )  # fmt: skip

    assert sides[:3] == ["test", "train", None]
    assert None not in sides[3:]


def test_one_group_a_class_cannot_be_split() -> None:
    identities, labels = many(10)

    with pytest.raises(DatasetError, match="class 'ant' has 1 different group of pictures"):
        assign(identities, labels, groups=[NAMES[label] for label in labels])


@given(SEEDS, st.integers(2, 6), st.sampled_from([0.0, 0.2]))
@settings(max_examples=25, deadline=None)
def test_folds_are_a_partition_of_what_does_not_test(seed: int, folds: int, test: float) -> None:
    identities, labels = many(120)

    splits = [
        assign_sides(
            identities, labels, class_names=NAMES, seed=seed, val_fraction=0.5, test_fraction=test,
            fold=(number, folds),
        )
        for number in range(folds)
    ]  # fmt: skip

    for sides in zip(*splits, strict=True):
        assert set(sides) in ({"test"}, {"val", "train"})
        assert sides.count("val") in (0, 1)
        assert (sides.count("val") == 0) == (set(sides) == {"test"})


@given(SEEDS, st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_few_shots_are_fixed_nested_and_leave_the_other_sides_whole(seed: int, shots: int) -> None:
    identities, labels = many(40)
    sides = assign(identities, labels, seed=seed)

    def chosen(count: int) -> list[bool]:
        return few_shot(identities, labels, sides, shots=count, seed=seed, class_names=NAMES)

    mask = chosen(shots)
    kept = [(label, side) for label, side, keep in zip(labels, sides, mask, strict=True) if keep]
    assert Counter(label for label, side in kept if side == "train") == dict.fromkeys(
        range(3), shots
    )
    assert sum(side != "train" for _, side in kept) == sum(side != "train" for side in sides)
    assert all(more or not fewer for fewer, more in zip(mask, chosen(shots + 1), strict=True))


def test_more_shots_than_pictures_are_refused() -> None:
    identities, labels = many(6)
    sides: list[Side] = ["train"] * len(identities)

    with pytest.raises(DatasetError, match="'ant' has 6 different .* fewer than the 7"):
        few_shot(identities, labels, sides, shots=7, seed=0, class_names=NAMES)


def test_columns_of_groups_join_where_they_share_a_picture() -> None:
    identities, labels = many(20)
    patients: list[str | None] = ["p", "p", *[None] * 58]
    similar: list[str | None] = [None, "s", "s", "s", *[None] * 56]

    for seed in range(20):
        sides = assign_sides(
            identities, labels, class_names=NAMES, seed=seed, val_fraction=0.3, test_fraction=0.3,
            groups=[patients, similar],
        )  # fmt: skip
        assert len(set(sides[:4])) == 1


def test_groups_on_two_given_sides_are_named_where_a_class_runs_short() -> None:
    labels = [0, 0, 0, 1, 1, 1]
    given: list[Side | None] = ["train", "val", "test"] * 2
    groups: list[str | None] = ["a", "a", "a", "b", "b", "b"]

    with pytest.raises(DatasetError, match=r"Besides, 2 groups on more than one given side count"):
        assign([f"{n:064x}" for n in range(6)], labels, given=given, groups=groups)
