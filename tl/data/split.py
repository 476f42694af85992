"""Which picture trains, validates and tests: a pure function of identities, labels and a seed.

Each picture's side is decided by a hash of its identity, so that adding, removing or renaming
pictures moves no other one, and the same picture twice never lands on two sides.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tl.data.example import SIDES, Side
from tl.errors import DatasetError

# Along the draw, from 0 to 1: a picture below the first threshold tests, then validates.
DRAW_ORDER: tuple[Side, ...] = ("test", "val", "train")


def assign_sides(
    identities: Sequence[str],
    labels: Sequence[int],
    *,
    class_names: Sequence[str],
    seed: int,
    val_fraction: float,
    test_fraction: float,
    given: Sequence[Side | None] | None = None,
    earlier: Mapping[str, Side] | None = None,
) -> list[Side]:
    """Assign every picture to train, val or test.

    Args:
        identities: content hashes; equal ones always share a side.
        labels: class index of each.
        class_names: for messages.
        seed: another seed, another split.
        val_fraction: expected share for validation, of the pictures without a given side.
        test_fraction: likewise for the test.
        given: sides that the dataset itself gives; where validation or test is not among
            them, it is taken from the training pictures.
        earlier: sides by identity of an earlier split, which are kept.

    Returns:
        One side per picture.

    Raises:
        DatasetError: a class has too few pictures for the sides that are asked for.

    The same picture given on two sides keeps the one where it can leak least.
    """
    given = given if given is not None else [None] * len(identities)
    wanted: list[tuple[Side, float]] = []
    for side, fraction in (("test", test_fraction), ("val", val_fraction)):
        if fraction > 0 and side not in given:
            wanted.append((side, fraction))  # type: ignore[arg-type]

    chosen: dict[str, Side] = {}
    for identity, given_side in zip(identities, given, strict=True):
        # What is given as training may still be divided where no other side is given.
        if given_side is not None and (given_side != "train" or not wanted):
            chosen[identity] = _stricter(chosen.get(identity), given_side)
    for identity in identities:
        if earlier and identity in earlier and identity not in chosen:
            chosen[identity] = earlier[identity]

    first_label = dict(zip(reversed(identities), reversed(labels), strict=True))
    free = {identity: draw(identity, seed) for identity in first_label if identity not in chosen}
    for identity, position in free.items():
        threshold = 0.0
        chosen[identity] = "train"
        for side, fraction in wanted:
            threshold += fraction
            if position < threshold:
                chosen[identity] = side
                break
    _fill_empty_sides(chosen, free, first_label, class_names, [side for side, _ in wanted])
    return [chosen[identity] for identity in identities]


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
    labels: Mapping[str, int],
    class_names: Sequence[str],
    wanted: Sequence[Side],
) -> None:
    """Give a side that has no picture of a class the one that was drawn nearest to it."""
    members: dict[int, list[str]] = {label: [] for label in range(len(class_names))}
    for identity in sorted(free, key=free.__getitem__):
        members[labels[identity]].append(identity)
    count = Counter((labels[identity], side) for identity, side in chosen.items())
    for label, name in enumerate(class_names):
        for side in ("train", *wanted):
            if count[label, side]:
                continue
            # A side may give one away if another of that class stays on it.
            spare = {
                chosen[identity]: count[label, chosen[identity]]
                for identity in members[label]
                if count[label, chosen[identity]] >= 2
            }
            if not spare:
                raise _too_few(name, {one: count[label, one] for one in SIDES}, side, wanted)
            donor = max(spare, key=spare.__getitem__)
            candidates = [one for one in members[label] if chosen[one] == donor]
            is_above = DRAW_ORDER.index(donor) > DRAW_ORDER.index(side)
            moved = candidates[0] if is_above else candidates[-1]
            chosen[moved] = side
            count[label, donor] -= 1
            count[label, side] += 1


def _too_few(
    name: str, counts: Mapping[Side, int], empty: Side, wanted: Sequence[Side]
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
            f"the dataset's folders or the split file). {ways_out}"
        )
    pictures = "1 different picture" if total == 1 else f"{total} different pictures"
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
