"""Which picture trains, validates and tests: a pure function of identities, labels and a seed.

Each picture's side is decided by a hash of its identity, so that adding, removing or renaming
pictures moves no other one, and the same picture twice never lands on two sides.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tl.data.example import SIDES, Side
from tl.errors import DatasetError
from tl.words import counted

# Along the draw, from 0 to 1: a picture below the first threshold tests, then validates.
DRAW_ORDER: tuple[Side, ...] = ("test", "val", "train")


def assign_sides(
    identities: Sequence[str],
    labels: Sequence[int | tuple[int, ...]],
    *,
    class_names: Sequence[str],
    seed: int,
    val_fraction: float,
    test_fraction: float,
    required: Collection[Side] = SIDES,
    given: Sequence[Side | None] | None = None,
    groups: Sequence[Sequence[str | None]] = (),
    earlier: Mapping[str, Side] | None = None,
    fold: tuple[int, int] | None = None,
) -> list[Side | None]:
    """Assign every picture to train, val or test.

    Args:
        identities: content hashes; equal ones always share a side.
        labels: class index of each, or all of them.
        class_names: for messages.
        seed: another seed, another split.
        required: sides that a class may not lack; on others that are asked for, a class that has
            too few pictures is missing.
        val_fraction: expected share for validation, of the pictures without a given side.
        test_fraction: likewise for the test.
        given: sides that the dataset itself gives; where validation or test is not among
            them, it is taken from the training pictures.
        groups: columns of names of what has to stay on one side (patients, near-duplicates); None
            is a group of its own. Groups of any column that share a picture are one.
        earlier: sides by identity of an earlier split, which are kept.
        fold: (k, number of folds) validates on the k-th fold, from 0, of what does not test, in
            place of ``val_fraction``. The folds of one seed have no picture in common.

    Returns:
        One side per picture. None leaves out a new picture of a group whose other pictures are
        on two sides already: on either it would leak.

    Raises:
        DatasetError: a class has too few pictures for the sides that are asked for.

    The same picture given on two sides keeps the one where it can leak least.
    """
    given = [None] * len(identities) if given is None else given
    intervals = _intervals(test_fraction, val_fraction, fold, given)
    wanted = list(intervals)
    fixed = _fixed_sides(identities, given, earlier or {}, bool(wanted))
    units = _units(identities, groups)
    alone = [(label,) for label in range(len(class_names))]  # shared: a million rows, few classes
    unit_labels: dict[str, tuple[int, ...]] = {}
    for unit, label in zip(units, labels, strict=True):
        its_labels = label if isinstance(label, tuple) else alone[label]
        known = unit_labels.setdefault(unit, its_labels)
        if known is not its_labels:
            unit_labels[unit] = tuple(dict.fromkeys((*known, *its_labels)))
    unit_sides: dict[str, set[Side]] = defaultdict(set)
    for unit, identity in zip(units, identities, strict=True):
        if identity in fixed:
            unit_sides[unit].add(fixed[identity])

    chosen: dict[str, Side] = {
        unit: next(iter(sides)) for unit, sides in unit_sides.items() if len(sides) == 1
    }
    free = {unit: draw(unit, seed) for unit in unit_labels if unit not in unit_sides}
    for unit, position in free.items():
        chosen[unit] = next(
            (side for side, (low, high) in intervals.items() if low <= position < high), "train"
        )
    try:
        _fill_empty_sides(chosen, free, unit_labels, class_names, wanted, required, bool(groups))
    except DatasetError as error:
        if divided := sum(len(sides) > 1 for sides in unit_sides.values()):
            raise DatasetError(
                f"{error} Besides, {counted(divided, 'group')} on more than one given side count "
                "for none; `tl check` names them"
            ) from error
        raise
    return [
        fixed.get(identity) or chosen.get(unit)
        for identity, unit in zip(identities, units, strict=True)
    ]


def _intervals(
    test_fraction: float,
    val_fraction: float,
    fold: tuple[int, int] | None,
    given: Collection[Side | None],
) -> dict[Side, tuple[float, float]]:
    """Return the part of the draw from 0 to 1 that each side takes; training takes the rest."""
    intervals: dict[Side, tuple[float, float]] = {}
    tests = 0.0
    if test_fraction > 0 and "test" not in given:
        tests = test_fraction
        intervals["test"] = (0.0, tests)
    if "val" not in given and (fold or val_fraction > 0):
        start, width = tests, val_fraction
        if fold:
            number, folds = fold
            width = (1 - tests) / folds
            start += number * width
        intervals["val"] = (start, start + width)
    return intervals


def few_shot(
    identities: Sequence[str],
    labels: Sequence[int | tuple[int, ...]],
    sides: Sequence[Side],
    *,
    shots: int,
    seed: int,
    class_names: Sequence[str],
) -> list[bool]:
    """Choose a fixed number of training pictures a class; the other sides stay whole.

    Args:
        identities: of every picture.
        labels: class index of every picture, or all of them; a picture chosen for one of its
            classes has the others too, which then have more.
        sides: of every picture.
        shots: different training pictures a class.
        seed: another seed, another choice.
        class_names: for messages.

    Returns:
        Whether each picture stays. Fewer shots of the same seed are among the more, and a picture
        that is added replaces at most one other.

    Raises:
        DatasetError: a class has fewer different training pictures.
    """
    pools: dict[int, set[str]] = defaultdict(set)
    several = [label if isinstance(label, tuple) else (label,) for label in labels]
    for identity, its_labels, side in zip(identities, several, sides, strict=True):
        if side == "train":
            for label in its_labels:
                pools[label].add(identity)
    chosen: dict[int, set[str]] = {}
    for label, name in enumerate(class_names):
        pool = pools[label]
        if len(pool) < shots:
            raise DatasetError(
                f"class {name!r} has {len(pool)} different training pictures, fewer than the "
                f"{shots} that data.shots asks for"
            )
        # A draw of its own, or the pictures nearest to the threshold of the split would be taken.
        chosen[label] = set(sorted(pool, key=lambda one: draw(f"shot {one}", seed))[:shots])
    return [
        side != "train" or any(identity in chosen[label] for label in its_labels)
        for identity, its_labels, side in zip(identities, several, sides, strict=True)
    ]


def _fixed_sides(
    identities: Sequence[str],
    given: Sequence[Side | None],
    earlier: Mapping[str, Side],
    is_divided: bool,
) -> dict[str, Side]:
    fixed: dict[str, Side] = {}
    for identity, given_side in zip(identities, given, strict=True):
        # What is given as training may still be divided where no other side is given.
        if given_side is not None and (given_side != "train" or not is_divided):
            fixed[identity] = _stricter(fixed.get(identity), given_side)
    for identity in identities:
        if identity in earlier and identity not in fixed:
            fixed[identity] = earlier[identity]
    return fixed


def _units(identities: Sequence[str], groups: Sequence[Sequence[str | None]]) -> Sequence[str]:
    """Return what is drawn for each picture: its group, or itself."""
    if not groups:
        return identities
    leaders: dict[str, str] = {}

    def leader(group: str) -> str:
        while leaders.setdefault(group, group) != group:
            group = leaders[group]
        return group

    first_group: dict[str, str] = {}
    for names in groups:
        for identity, group in zip(identities, names, strict=True):
            if group is not None:
                one, other = leader(first_group.setdefault(identity, group)), leader(group)
                leaders[max(one, other)] = min(one, other)
    return [
        f"group {leader(first_group[identity])}" if identity in first_group else identity
        for identity in identities
    ]


def draw(identity: str, seed: int) -> float:
    """Return the number in [0, 1) that decides a picture's side."""
    digest = hashlib.sha256(f"{seed}:{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _stricter(one: Side | None, other: Side) -> Side:
    """Keep a picture that is given on two sides where it can leak least: test, val, train."""
    order: tuple[Side, ...] = ("test", "val", "train")
    return other if one is None else min(one, other, key=order.index)


def _fill_empty_sides(
    chosen: dict[str, Side],
    free: Mapping[str, float],
    labels: Mapping[str, Collection[int]],
    class_names: Sequence[str],
    wanted: Sequence[Side],
    required: Collection[Side],
    grouped: bool,
) -> None:
    """Give a side that has no picture of a class the group that was drawn nearest to it."""
    members: dict[int, list[str]] = {label: [] for label in range(len(class_names))}
    for unit in sorted(free, key=free.__getitem__):
        for label in labels[unit]:
            members[label].append(unit)
    count = Counter((label, side) for unit, side in chosen.items() for label in labels[unit])

    def can_leave(unit: str, side: Side) -> bool:
        """Tell whether each of its classes keeps another picture where it is, if it must."""
        if side == "train" and chosen[unit] not in required:
            return True
        return all(count[label, chosen[unit]] >= 2 for label in labels[unit])

    for label, name in enumerate(class_names):
        for side in ("train", *wanted):
            if count[label, side]:
                continue
            spare = [unit for unit in members[label] if can_leave(unit, side)]
            if not spare and side not in required:
                continue
            if not spare:
                counts: dict[Side, int] = {one: count[label, one] for one in SIDES}
                needed = [one for one in wanted if one in required]
                raise _too_few(name, counts, side, needed, grouped)
            donor = max((chosen[unit] for unit in spare), key=lambda one: count[label, one])
            candidates = [unit for unit in spare if chosen[unit] == donor]
            is_above = DRAW_ORDER.index(donor) > DRAW_ORDER.index(side)
            moved = candidates[0] if is_above else candidates[-1]
            chosen[moved] = side
            for its_label in labels[moved]:
                count[its_label, donor] -= 1
                count[its_label, side] += 1


def _too_few(
    name: str, counts: Mapping[Side, int], empty: Side, wanted: Sequence[Side], grouped: bool
) -> DatasetError:
    needs = 1 + len(wanted)
    total = sum(counts.values())
    ways_out = (
        "Add pictures, remove the class's folder, or pass --set data.val_fraction=0 or "
        "data.test_fraction=0"
    )
    if total >= needs:
        bound = ", ".join(f"{count} on {side}" for side, count in counts.items() if count)
        return DatasetError(
            f"class {name!r} has no picture on {empty}, and none that may move there ({bound}, by "
            f"the dataset's folders or groups, or the split file). {ways_out}"
        )
    what = ("group of pictures", "groups of pictures") if grouped else ("picture", "pictures")
    pictures = f"{total} different {what[total != 1]}"
    sides = " and ".join(("train", *reversed(wanted)))
    return DatasetError(
        f"class {name!r} has {pictures}, but a split into {sides} needs {needs}. {ways_out}"
    )


def write_split(path: Path, split: Mapping[str, Side]) -> None:
    """Write the side by identity as JSON, ``{"train": [...], "val": [...], "test": [...]}``."""
    lists = {side: sorted(one for one, its in split.items() if its == side) for side in SIDES}
    path.write_text(json.dumps(lists, indent=0))


def read_split(path: Path) -> dict[str, Side]:
    """Read what `write_split` wrote.

    Raises:
        DatasetError: absent or not a split file.
    """
    try:
        lists = json.loads(path.read_text())
        split = {identity: side for side in SIDES for identity in list[str](lists[side])}
        if set(map(type, lists.values())) != {list} or not all(isinstance(i, str) for i in split):
            raise TypeError("no lists of identities")
        if len(split) < sum(map(len, lists.values())):
            raise ValueError("an identity is there twice, or on an unknown side")
    except OSError as error:
        raise DatasetError(f"cannot read the split {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no split file of tl ({error!r})") from error
    return split
