"""A manifest without the faults that `tl.data.check` found. No picture is touched.

Receives a report, gives rows. What can be told is put right (a spelling, a copy, a side); where
only a person can tell, as between two labels of one picture, the picture is left out.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tl.data.check import CheckReport
from tl.data.contents import Files
from tl.data.example import Dataset, Side
from tl.data.findings.classes import plain_label
from tl.data.findings.pictures import BLANK_DEVIATION
from tl.data.similar import connected
from tl.data.split import DRAW_ORDER
from tl.errors import ConfigError, DatasetError
from tl.problem import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of a manifest.

    Attributes:
        key: its path below the dataset's root.
        labels: class names; one, or several.
        side: given by the dataset, or None.
        group: keeps near-duplicates on one side, or None.
        identity: sha256.
        weight: in the loss.
    """

    key: str
    labels: tuple[str, ...]
    side: Side | None
    group: str | None
    identity: str
    weight: float


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What is left of a dataset.

    Attributes:
        rows: the pictures that stay.
        left_out: key and reason of each that does not.
        renamed: class name and what it became.
        root: folder that the keys start from.
        problem: what the labels are for.
    """

    rows: tuple[Row, ...] = field(repr=False)
    left_out: tuple[tuple[str, str], ...] = field(repr=False)
    renamed: tuple[tuple[str, str], ...]
    root: Path
    problem: Problem


def root_of_files(dataset: Dataset) -> Path:
    """Return the folder of a dataset whose pictures are files.

    Raises:
        ConfigError: they are not, so that a manifest could not name them.
    """
    contents = dataset.contents
    if not isinstance(contents, Files):
        raise ConfigError(
            f"--fix names the pictures by their files, but those of {dataset.name} lie in "
            "an archive or a table; unpack them into folders first"
        )
    return contents.root


def clean(report: CheckReport, sides: Collection[Side] = ("val", "test")) -> Cleaned:
    """Decide what stays, under which label, side and group.

    Args:
        report: of `tl.data.check.check_dataset`.
        sides: what a split takes besides training, unless the dataset gives it.

    Raises:
        ConfigError: the pictures are not files.
        DatasetError: fewer than two classes are left.
    """
    root = root_of_files(report.dataset)
    dataset, looks = report.dataset, report.looks
    names = _merged_names(dataset.class_names, dataset.class_counts())
    out: dict[int, str] = dict.fromkeys(looks.faults, "unreadable")
    labels: list[tuple[str, ...]] = []
    for place, identity in enumerate(looks.identities):
        if dataset.values is not None:
            labels.append((str(dataset.values[place]),))
        else:
            numbers = dataset.labels_of(place)
            labels.append(tuple(dict.fromkeys(names[number] for number in numbers)))
        if place in out:
            continue
        if dataset.identities is not None and dataset.identities[place] != identity:
            out[place] = "not the file of the table's sha256"
        elif looks.deviations[place] < BLANK_DEVIATION:
            out[place] = "blank"
        elif not _is_unicode(dataset.keys[place]):
            out[place] = "its name is no Unicode"
    # Of pictures that are nearly the same, numbers may differ a little.
    alike = list(report.groups) if dataset.values is None else looks.identities.tolist()
    for places in _by_name(alike, out):
        if len({tuple(sorted(labels[place])) for place in places}) > 1:
            out |= dict.fromkeys(places, "under two labels")
    groups = _joined(report, out)
    for places in _by_name(groups, out):
        given = [_side(report, place) for place in places]
        strictest = min((one for one in given if one), key=DRAW_ORDER.index, default=None)
        out |= {
            place: f"its like is in {strictest}"
            for place, side in zip(places, given, strict=True)
            if side not in (None, strictest)
        }
    seen: set[str] = set()
    for place, identity in enumerate(looks.identities):
        if place not in out and identity in seen:
            out[place] = "an exact duplicate"
        seen.add(identity)
    if dataset.values is None:
        _drop_small_classes(report, labels, groups, out, sides)
    rows = tuple(
        Row(
            str(dataset.keys[place]), labels[place], _side(report, place), groups[place],
            looks.identities[place], dataset[place].weight,
        )
        for place in range(len(dataset))
        if place not in out
    )  # fmt: skip
    classes = {label for row in rows for label in row.labels}
    if len(classes) < 2:
        raise DatasetError(
            f"without its faults {dataset.name} has {len(classes)} classes with enough pictures; "
            "nothing was written"
        )
    return Cleaned(
        rows=rows,
        left_out=tuple((str(dataset.keys[place]), out[place]) for place in sorted(out)),
        renamed=tuple(
            (old, new) for old, new in zip(dataset.class_names, names, strict=True) if old != new
        ),
        root=root,
        problem=dataset.problem,
    )


def manifest(cleaned: Cleaned, folder: Path) -> tuple[str, Path | None]:
    """Return the manifest as CSV, and the ``data.root`` that it needs, if any.

    Args:
        cleaned: what stays.
        folder: that the manifest will lie in. Where the pictures lie below it, paths are relative
            to it and no root is needed.

    Raises:
        DatasetError: a class name that cannot stand in a list of several.
    """
    from tl.data.formats.table import SEPARATOR  # Arrow takes 0.2 s to import

    here, root = folder.resolve(), cleaned.root.resolve()
    prefix = root.relative_to(here).as_posix() + "/" if root.is_relative_to(here) else ""
    prefix = prefix.removeprefix("./")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    several = cleaned.problem == "multi_label"
    label = "labels" if several else "label"
    weighted = any(row.weight != 1 for row in cleaned.rows)
    table.writerow(["path", label, "split", "group", "sha256", *(["weight"] if weighted else [])])
    for row in cleaned.rows:
        if several and any(SEPARATOR in label for label in row.labels):
            raise DatasetError(f"a class of {row.key} has {SEPARATOR!r} in its name; rename it")
        table.writerow(
            [prefix + row.key, SEPARATOR.join(row.labels), row.side or "", row.group or "",
             row.identity, *([row.weight] if weighted else [])]
        )  # fmt: skip
    return text.getvalue(), None if root.is_relative_to(here) else root


def _merged_names(names: Sequence[str], counts: dict[str, int]) -> list[str]:
    """Give all spellings of a class the one that most pictures have."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[plain_label(name)].append(name)
    best = {plain: max(sorted(same), key=counts.__getitem__) for plain, same in spellings.items()}
    return [best[plain_label(name)] for name in names]


def _is_unicode(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _side(report: CheckReport, place: int) -> Side | None:
    sides = report.dataset.sides
    return None if sides is None else sides[place]


def _by_name(names: Sequence[str | None], out: Collection[int]) -> Iterable[list[int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if name is not None and place not in out:
            members[name].append(place)
    return members.values()


def _joined(report: CheckReport, out: Collection[int]) -> list[str | None]:
    """Join the groups of near-duplicates with those that the dataset gives, whose names stay."""
    given = None if report.dataset.groups is None else report.dataset.groups.tolist()
    count = len(report.dataset)
    pairs: list[tuple[int, int]] = []
    for names in (report.groups, given if given is not None else ()):
        for places in _by_name(names, out):
            pairs += [(places[0], place) for place in places]
    joined: list[str | None] = [None] * count
    if given is not None:
        joined = [None if place in out else given[place] for place in range(count)]
    for places in connected(count, pairs):
        named = [given[place] for place in places if given is not None and given[place] is not None]
        name = min(named) if named else min(report.looks.identities[place] for place in places)
        for place in places:
            joined[place] = name
    return joined


def _drop_small_classes(
    report: CheckReport,
    labels: Sequence[tuple[str, ...]],
    groups: Sequence[str | None],
    out: dict[int, str],
    sides: Collection[Side],
) -> None:
    given = set() if report.dataset.sides is None else set(report.dataset.sides)
    # Of several classes a picture, a rare one may lack a side.
    needs = 1 + len(set(sides) - given) if report.dataset.label_sets is None else 1
    units: dict[str, set[str]] = defaultdict(set)
    for place, its in enumerate(labels):
        if place not in out and _side(report, place) in (None, "train"):
            unit = f"group {groups[place]}" if groups[place] else report.looks.identities[place]
            for label in its:
                units[label].add(unit)
    for place, its in enumerate(labels):
        if place not in out and any(len(units[label]) < needs for label in its):
            out[place] = f"its class has fewer than {needs} different pictures to learn from"


def reasons(cleaned: Cleaned) -> dict[str, int]:
    """Count the pictures that are left out by reason, the most frequent first."""
    return dict(Counter(reason for _, reason in cleaned.left_out).most_common())
