"""Pictures that are the same or nearly: what their labels and sides have to say."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tl.data.example import Dataset
from tl.data.findings.finding import Finding, finding, names_of


def groups_of_copies(identities: Sequence[str]) -> list[str | None]:
    """Return the identity of every picture that has a copy, and None for the others."""
    count = Counter(identities)
    return [identity if count[identity] > 1 else None for identity in identities]


def alike_findings(
    dataset: Dataset, identities: Sequence[str], groups: Sequence[str | None]
) -> Iterator[Finding]:
    """Say of every group of copies and near-duplicates what it does: one finding a fact."""
    members: dict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        if group is not None:
            members[group].append(place)
    for places in members.values():
        yield from _conflicts(dataset, identities, places)
        yield from _copies(dataset, identities, places)
        if len({identities[place] for place in places}) > 1 and not _share_a_group(dataset, places):
            firsts = {identities[place]: place for place in reversed(places)}
            keys = [dataset.keys[place] for place in sorted(firsts.values())]
            yield finding("near_duplicates", keys, f"nearly the same: {names_of(keys)}")


def _conflicts(
    dataset: Dataset, identities: Sequence[str], places: Sequence[int]
) -> Iterator[Finding]:
    keys = [dataset.keys[place] for place in places]
    chosen = dataset.take(np.array(places))
    labels = dict(zip(places, chosen.answers(), strict=True))
    sides = {place: None if dataset.sides is None else dataset.sides[place] for place in places}
    same = _same_bytes(identities, places, labels)
    # Of pictures that are nearly the same, numbers may differ a little.
    if len(set(labels.values())) > 1 and (same or dataset.values is None):
        shown = "; ".join(
            f"{label!r}: {names_of([dataset.keys[p] for p in places if labels[p] == label], 3)}"
            for label in sorted(set(labels.values()))
        )
        what = "the same picture" if same else "nearly the same picture"
        yield finding("two_labels", keys, f"{what} is {shown}")
    given = {side for side in sides.values() if side is not None}
    if len(given) > 1:
        same = _same_bytes(identities, places, sides)
        shown = "; ".join(
            f"{side}: {names_of([dataset.keys[one] for one in places if sides[one] == side], 3)}"
            for side in sorted(given)
        )
        what = "the same picture" if same else "nearly the same picture"
        yield finding("leakage", keys, f"{what} is on {shown}")


def _same_bytes(
    identities: Sequence[str], places: Sequence[int], values: Mapping[int, Any]
) -> bool:
    """Tell whether two pictures with different values are copies to the byte."""
    first: dict[str, Any] = {}
    return any(
        values[one] is not None and first.setdefault(identities[one], values[one]) != values[one]
        for one in places
    )


def _copies(
    dataset: Dataset, identities: Sequence[str], places: Sequence[int]
) -> Iterator[Finding]:
    copies: dict[str, list[str]] = defaultdict(list)
    for place in places:
        copies[identities[place]].append(dataset.keys[place])
    for keys in copies.values():
        if len(keys) > 1:
            yield finding("exact_duplicates", keys, f"the same bytes: {names_of(keys)}")


def _share_a_group(dataset: Dataset, places: Sequence[int]) -> bool:
    """Tell whether the dataset itself keeps the pictures together."""
    if dataset.groups is None:
        return False
    names = {dataset.groups[place] for place in places}
    return len(names) == 1 and None not in names


def group_findings(dataset: Dataset) -> Iterator[Finding]:
    """Name the groups that the given split divides."""
    if dataset.groups is None or dataset.sides is None:
        return
    firsts: dict[str, dict[str, str]] = defaultdict(dict)
    for group, side, key in zip(dataset.groups, dataset.sides, dataset.keys, strict=True):
        if group is not None and side is not None:
            firsts[group].setdefault(side, key)
    for group, sides in firsts.items():
        if len(sides) > 1:
            shown = "; ".join(f"{side}: {key}" for side, key in sorted(sides.items()))
            yield finding(
                "leakage", list(sides.values()), f"group {group!r} is on two sides: {shown}"
            )
