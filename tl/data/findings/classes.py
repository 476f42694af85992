"""What is wrong with the classes: their sizes and their names."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from tl.data.example import Column, Dataset, Side
from tl.data.findings.finding import Finding, finding
from tl.words import counted

IMBALANCE = 10.0
"""Largest class by smallest: the rare one hardly counts in the loss (training.balance)."""
FEW_PICTURES = 20
"""In a class: with 15 % for the test its accuracy stands on three pictures or fewer."""


def class_findings(
    dataset: Dataset, identities: Column, sides: Collection[Side] = ("val", "test")
) -> Iterator[Finding]:
    """Say what is wrong with the classes: their sizes and their names.

    Args:
        dataset: the readable pictures.
        identities: of each; copies count once, and so does a group.
        sides: what a split takes besides training, unless the dataset gives it.
    """
    if dataset.values is not None:
        if len(set(dataset.values.tolist())) < 2:
            keys = dataset.keys[:1].tolist()
            yield finding("one_class", keys, f"one value only: {', '.join(dataset[:1].answers())}")
        return
    given = set() if dataset.sides is None else set(dataset.sides)
    # Of several classes a picture, a rare one may lack a side.
    needs = 1 + len(set(sides) - given) if dataset.label_sets is None else 1
    units: dict[int, set[str]] = defaultdict(set)
    training: dict[int, set[str]] = defaultdict(set)
    first: dict[int, str] = {}
    for place, identity in enumerate(identities):
        group = None if dataset.groups is None else dataset.groups[place]
        for label in dataset.labels_of(place):
            first.setdefault(label, dataset.keys[place])
            units[label].add(identity if group is None else f"group {group}")
            # Where validation or test is given, it is not divided again.
            if dataset.sides is None or dataset.sides[place] in (None, "train"):
                training[label].add(identity if group is None else f"group {group}")
    yield from _missing_on_side(dataset, first)
    names = dataset.class_names
    counts = {name: len(units[label]) for label, name in enumerate(names)}
    if len(names) < 2:
        yield finding("one_class", list(first.values()), f"one class only: {', '.join(names)}")
    for label, name in enumerate(names):
        have = len(training[label])
        keys = [first[label]] if label in first else []
        at = f" (such as {keys[0]})" if keys else ""
        what = "group" if dataset.groups is not None else "picture"
        if have < needs:
            yield finding(
                "too_few",
                keys,
                f"class {name!r} has {counted(have, f'different {what}')} to learn from"
                f"{at}; the split needs {needs}",
            )
        elif counts[name] < FEW_PICTURES:
            yield finding(
                "few_pictures",
                keys,
                f"class {name!r} has {counted(counts[name], what)} only{at}",
            )
    present = {name: count for name, count in counts.items() if count}
    if present:
        small, large = min(present, key=present.__getitem__), max(present, key=present.__getitem__)
        if present[large] > IMBALANCE * present[small]:
            yield finding(
                "imbalance",
                [first[names.index(small)]],
                f"class {large!r} has {counted(present[large], 'picture')} and {small!r} "
                f"{present[small]:,} (such as {first[names.index(small)]}); see training.balance",
            )
    yield from _similar_labels(names, counts, first)


def _missing_on_side(dataset: Dataset, first: Mapping[int, str]) -> Iterator[Finding]:
    """Say which classes a side has not that the dataset gives itself and that nothing will fill."""
    if dataset.sides is None:
        return
    labels_by_side: dict[str, set[int]] = defaultdict(set)
    for place, side in enumerate(dataset.sides):
        if side in ("val", "test"):
            labels_by_side[side].update(dataset.labels_of(place))
    for side, labels in sorted(labels_by_side.items()):
        for label, name in enumerate(dataset.class_names):
            if label not in labels and label in first:
                yield finding(
                    "missing_on_side",
                    [first[label]],
                    f"class {name!r} (such as {first[label]}) has no picture on the given {side} "
                    "side, which is not filled from training",
                )


def plain_label(name: str) -> str:
    """Return a class name without what people vary: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


def _similar_labels(
    names: Sequence[str], counts: Mapping[str, int], first: Mapping[int, str]
) -> Iterator[Finding]:
    spellings: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(names):
        spellings[plain_label(name)].append(label)
    for labels in spellings.values():
        if len(labels) > 1:
            shown = ", ".join(
                f"{names[label]!r} ({counted(counts[names[label]], 'picture')}"
                + (f", such as {first[label]})" if label in first else ")")
                for label in labels
            )
            keys = [first[label] for label in labels if label in first]
            yield finding("similar_labels", keys, f"one class or several? {shown}")
