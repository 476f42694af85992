"""What is wrong with a dataset, in findings that name their files. No prints, no files written.

Receives an opened dataset and what `tl.data.look` saw of each picture. An error is what stops
training or makes its number wrong: unreadable pictures, one picture under two labels or on two
sides, a class too small to split. Everything else is a warning.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tl.data.contents import Files
from tl.data.decode import EXTENSIONS
from tl.data.example import Column, Dataset, Side
from tl.data.exif import UPRIGHT
from tl.data.formats.folder import CLUTTER, is_picture
from tl.data.look import Looks, file_format, look_at
from tl.data.similar import near_duplicate_groups

Severity = Literal["error", "warning"]

TINY_SIDE = 32
"""Pixels of the shorter side: every backbone enlarges such a picture at least fourfold."""
HUGE_MEGAPIXELS = 40.0
"""Above most cameras; such a picture takes as long to decode as 200 of 500 x 400."""
BLANK_DEVIATION = 2.0
"""Levels: JPEG's noise on one colour stays below 1, the flattest of 750 photos has 22."""
MAX_ASPECT = 4.0
"""Longer side by shorter: squeezing or cropping to a square loses what such a picture shows."""
ODD_GREY_SHARE = 0.1
"""Grey pictures are odd where they are fewer than this: scans or another source among photos."""
NATURE_SHARE = 0.5
"""What more than this share of all pictures have is the dataset's nature: one finding for all."""
NAMED_AT_MOST = 5
"""Files named by a finding that holds for most of the dataset."""
IMBALANCE = 10.0
"""Largest class by smallest: the rare one hardly counts in the loss (training.balance)."""
FEW_PICTURES = 20
"""In a class: with 15 % for the test its accuracy stands on three pictures or fewer."""

_CLUTTER_FILES = frozenset(["thumbs.db", "desktop.ini", "ehthumbs.db", ".ds_store"])
_FORMAT_OF = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PNM"),
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    ".png": "PNG", ".gif": "GIF", ".webp": "WebP", ".avif": "AVIF", ".jp2": "JPEG 2000",
    ".jxl": "JPEG XL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: one of `KINDS`.
        severity: an error stops training or makes its number wrong.
        keys: the pictures, or files, that it is about.
        message: a sentence for people, which names the first of them.
    """

    kind: str
    severity: Severity
    keys: tuple[str, ...]
    message: str


def printable(text: str) -> str:
    """Return text for a terminal or a page; what a file's name has and none prints is escaped."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


KINDS: dict[str, tuple[Severity, str]] = {
    "unreadable": ("error", "unreadable or cut-off files"),
    "altered": ("error", "files that are not the ones of the table's sha256"),
    "two_labels": ("error", "the same or nearly the same picture under two labels"),
    "leakage": ("error", "the same or nearly the same picture on two sides of the given split"),
    "too_few": ("error", "classes too small to split"),
    "one_class": ("error", "fewer than two classes"),
    "exact_duplicates": ("warning", "exact duplicates"),
    "near_duplicates": ("warning", "near duplicates"),
    "wrong_extension": ("warning", "extensions that lie about the content"),
    "similar_labels": ("warning", "labels that differ by case, space or hyphen only"),
    "imbalance": ("warning", "class imbalance"),
    "few_pictures": ("warning", "classes with few pictures"),
    "empty_class": ("warning", "class folders without a picture"),
    "blank": ("warning", "blank pictures"),
    "tiny": ("warning", "tiny pictures"),
    "huge": ("warning", "huge pictures"),
    "extreme_aspect": ("warning", "extreme aspect ratios"),
    "grey_among_colour": ("warning", "grayscale among colour"),
    "turned": ("warning", "pictures that EXIF turns"),
    "hidden_files": ("warning", "hidden files and files of the operating system"),
    "unused_files": ("warning", "files that are not used"),
    "skipped_rows": ("warning", "rows of the table that are passed over"),
}
"""Every kind of finding with its severity and what it is, errors first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckReport:
    """What was found, and what it was found in.

    Attributes:
        findings: in the order of `KINDS`, then by name.
        dataset: as opened.
        looks: what was seen of each picture.
        groups: of near-duplicates and copies, by picture; None is like no other.
    """

    findings: tuple[Finding, ...]
    dataset: Dataset = field(repr=False)
    looks: Looks = field(repr=False)
    groups: tuple[str | None, ...] = field(repr=False)

    def count(self, severity: Severity) -> int:
        """Return the number of findings of one severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, the same for the same pictures."""
        return {
            "dataset": self.dataset.name,
            "pictures": len(self.dataset),
            "classes": self.dataset.class_counts(),
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [
                {
                    "kind": one.kind,
                    "severity": one.severity,
                    "files": list(one.keys),
                    "message": one.message,
                }
                for one in self.findings
            ],
        }


def check_dataset(
    dataset: Dataset,
    *,
    max_pixels: int,
    folder: Path | None = None,
    sides: Collection[Side] = ("val", "test"),
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> CheckReport:
    """Look at every picture once and say what is wrong.

    Args:
        dataset: as a source gave it.
        max_pixels: larger pictures count as unreadable.
        folder: of class folders that it is, whose other files are named too; None for a table.
        sides: what a split would take besides training.
        threads: None is one a core; the report does not depend on it.
        on_progress: told the number of pictures done so far.
    """
    looks = look_at(dataset, max_pixels=max_pixels, threads=threads, on_progress=on_progress)
    readable = np.array([place not in looks.faults for place in range(len(dataset))], np.bool_)
    good = np.flatnonzero(readable)
    found = near_duplicate_groups(looks.signatures.take(good), looks.identities[good].tolist())
    groups: list[str | None] = [None] * len(dataset)
    for place, name in zip(good.tolist(), found, strict=True):
        groups[place] = name
    chosen = dataset.take(good)
    identities = looks.identities[good]
    findings = [
        *_unreadable(dataset, looks),
        *_altered(chosen, identities),
        *_alike(chosen, identities.tolist(), found),
        *_divided_groups(chosen),
        *class_findings(chosen, identities, sides),
        *_wrong_extensions(dataset, looks),
        *_traits(chosen, looks, good),
        *file_findings(dataset, folder),
    ]
    return CheckReport(
        findings=in_order(findings), dataset=dataset, looks=looks, groups=tuple(groups)
    )


def quick_findings(
    dataset: Dataset,
    identities: Column,
    *,
    folder: Path | None = None,
    sides: Collection[Side] = ("val", "test"),
) -> tuple[Finding, ...]:
    """Return what names, labels and content hashes tell without another look at the pictures.

    Args:
        dataset: the readable pictures.
        identities: of each.
        folder: of class folders that it is; None for a table.
        sides: what a split takes besides training.
    """
    copies = _groups_of_copies(identities.tolist())
    return in_order(
        [
            *_alike(dataset, identities.tolist(), copies),
            *_divided_groups(dataset),
            *class_findings(dataset, identities, sides),
            *file_findings(dataset, folder),
        ]
    )


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort findings by kind, errors first, then by the files they name."""
    rank = {kind: place for place, kind in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda one: (rank[one.kind], one.keys, one.message)))


def _finding(kind: str, keys: Sequence[str], message: str) -> Finding:
    return Finding(kind, KINDS[kind][0], tuple(keys), message)


def _unreadable(dataset: Dataset, looks: Looks) -> Iterator[Finding]:
    for place, fault in looks.faults.items():
        key = dataset.keys[place]
        yield _finding("unreadable", [key], f"{key}: {fault}")


def _altered(dataset: Dataset, identities: Column) -> Iterator[Finding]:
    if dataset.identities is None:
        return
    for place in np.flatnonzero(dataset.identities != identities):
        key = dataset.keys[place]
        yield _finding(
            "altered",
            [key],
            f"{key}: its sha256 is {identities[place]}, not the {dataset.identities[place]} of "
            "the table; training leaves it out",
        )


def _groups_of_copies(identities: Sequence[str]) -> list[str | None]:
    count = Counter(identities)
    return [identity if count[identity] > 1 else None for identity in identities]


def _alike(
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
            yield _finding("near_duplicates", keys, f"nearly the same: {_names(keys)}")


def _conflicts(
    dataset: Dataset, identities: Sequence[str], places: Sequence[int]
) -> Iterator[Finding]:
    keys = [dataset.keys[place] for place in places]
    labels = {place: _labels(dataset, place) for place in places}
    sides = {place: None if dataset.sides is None else dataset.sides[place] for place in places}
    if len(set(labels.values())) > 1:
        same = _same_bytes(identities, places, labels)
        shown = "; ".join(
            f"{label!r}: {_names([dataset.keys[one] for one in places if labels[one] == label], 3)}"
            for label in sorted(set(labels.values()))
        )
        what = "the same picture" if same else "nearly the same picture"
        yield _finding("two_labels", keys, f"{what} is {shown}")
    given = {side for side in sides.values() if side is not None}
    if len(given) > 1:
        same = _same_bytes(identities, places, sides)
        shown = "; ".join(
            f"{side}: {_names([dataset.keys[one] for one in places if sides[one] == side], 3)}"
            for side in sorted(given)
        )
        what = "the same picture" if same else "nearly the same picture"
        yield _finding("leakage", keys, f"{what} is on {shown}")


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
            yield _finding("exact_duplicates", keys, f"the same bytes: {_names(keys)}")


def _share_a_group(dataset: Dataset, places: Sequence[int]) -> bool:
    """Tell whether the dataset itself keeps the pictures together."""
    if dataset.groups is None:
        return False
    names = {dataset.groups[place] for place in places}
    return len(names) == 1 and None not in names


def _divided_groups(dataset: Dataset) -> Iterator[Finding]:
    if dataset.groups is None or dataset.sides is None:
        return
    firsts: dict[str, dict[str, str]] = defaultdict(dict)
    for group, side, key in zip(dataset.groups, dataset.sides, dataset.keys, strict=True):
        if group is not None and side is not None:
            firsts[group].setdefault(side, key)
    for group, sides in firsts.items():
        if len(sides) > 1:
            shown = "; ".join(f"{side}: {key}" for side, key in sorted(sides.items()))
            yield _finding(
                "leakage", list(sides.values()), f"group {group!r} is on two sides: {shown}"
            )


def class_findings(
    dataset: Dataset, identities: Column, sides: Collection[Side] = ("val", "test")
) -> Iterator[Finding]:
    """Say what is wrong with the classes: their sizes and their names.

    Args:
        dataset: the readable pictures.
        identities: of each; copies count once, and so does a group.
        sides: what a split takes besides training, unless the dataset gives it.
    """
    given = set() if dataset.sides is None else set(dataset.sides)
    needs = 1 + len(set(sides) - given)
    units: dict[int, set[str]] = defaultdict(set)
    training: dict[int, set[str]] = defaultdict(set)
    first: dict[int, str] = {}
    for place, identity in enumerate(identities):
        group = None if dataset.groups is None else dataset.groups[place]
        for label in _label_numbers(dataset, place):
            first.setdefault(label, dataset.keys[place])
            units[label].add(identity if group is None else f"group {group}")
            # Where validation or test is given, it is not divided again.
            if dataset.sides is None or dataset.sides[place] in (None, "train"):
                training[label].add(identity if group is None else f"group {group}")
    names = dataset.class_names
    counts = {name: len(units[label]) for label, name in enumerate(names)}
    if len(names) < 2:
        yield _finding("one_class", list(first.values()), f"one class only: {', '.join(names)}")
    for label, name in enumerate(names):
        have = len(training[label])
        keys = [first[label]] if label in first else []
        at = f" (such as {keys[0]})" if keys else ""
        if have < needs:
            what = "group" if dataset.groups is not None else "picture"
            yield _finding(
                "too_few",
                keys,
                f"class {name!r} has {have} different {what}{'s' * (have != 1)} to learn from"
                f"{at}; the split needs {needs}",
            )
        elif counts[name] < FEW_PICTURES:
            yield _finding(
                "few_pictures", keys, f"class {name!r} has {counts[name]} pictures only{at}"
            )
    present = {name: count for name, count in counts.items() if count}
    if present:
        small, large = min(present, key=present.__getitem__), max(present, key=present.__getitem__)
        if present[large] > IMBALANCE * present[small]:
            yield _finding(
                "imbalance",
                [first[names.index(small)]],
                f"class {large!r} has {present[large]:,} pictures and {small!r} {present[small]:,} "
                f"(such as {first[names.index(small)]}); see training.balance",
            )
    yield from _similar_labels(names, counts, first)


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
                f"{names[label]!r} ({counts[names[label]]} pictures"
                + (f", such as {first[label]})" if label in first else ")")
                for label in labels
            )
            keys = [first[label] for label in labels if label in first]
            yield _finding("similar_labels", keys, f"one class or several? {shown}")


def _wrong_extensions(dataset: Dataset, looks: Looks) -> Iterator[Finding]:
    for place, (key, is_one) in enumerate(zip(dataset.keys, looks.formats, strict=True)):
        ending = os.path.splitext(key)[1]  # noqa: PTH122 - called for every picture
        said = _FORMAT_OF.get(ending.lower())
        if said and is_one and said != is_one:
            yield _finding("wrong_extension", [key], f"{key} is {is_one}, not {said}")
        elif said and not is_one and place not in looks.faults:
            yield _finding("wrong_extension", [key], f"{key} is not {said}")


def _traits(dataset: Dataset, looks: Looks, good: NDArray[np.int64]) -> Iterator[Finding]:
    heights, widths = looks.heights[good], looks.widths[good]
    sizes = [f"{width} x {height}" for width, height in zip(widths, heights, strict=True)]
    short, long = np.minimum(heights, widths), np.maximum(heights, widths)
    megapixels = heights.astype(np.int64) * widths / 1e6
    blank = looks.deviations[good] < BLANK_DEVIATION
    grey = looks.is_grey[good] & ~blank
    turns = looks.orientations[good]

    def found(kind: str, mask: NDArray[np.bool_], say: Callable[[int], str]) -> Iterator[Finding]:
        places = np.flatnonzero(mask).tolist()
        if len(places) > max(NAMED_AT_MOST, NATURE_SHARE * len(good)):
            keys = [dataset.keys[place] for place in places[:NAMED_AT_MOST]]
            yield _finding(
                kind,
                keys,
                f"{len(places):,} of {len(good):,} pictures: {keys[0]} {say(places[0])}, and so on",
            )
            return
        for place in places:
            key = dataset.keys[place]
            yield _finding(kind, [key], f"{key} {say(place)}")

    yield from found("blank", blank, lambda one: "shows one colour only")
    yield from found("tiny", short < TINY_SIDE, lambda one: f"is {sizes[one]} pixels only")
    yield from found(
        "huge",
        megapixels > HUGE_MEGAPIXELS,
        lambda one: f"is {sizes[one]}, {megapixels[one]:.0f} megapixels: shrink it once",
    )
    yield from found(
        "extreme_aspect",
        long > MAX_ASPECT * short,
        lambda one: f"is {sizes[one]}, {long[one] / short[one]:.1f} times as long as wide",
    )
    if grey.sum() <= ODD_GREY_SHARE * len(good):
        yield from found("grey_among_colour", grey, lambda one: "is grey, most others have colour")
    yield from found(
        "turned",
        turns != UPRIGHT,
        lambda one: f"is turned by its EXIF orientation {turns[one]}: tl honours it, not all do",
    )


def file_findings(dataset: Dataset, folder: Path | None = None) -> Iterator[Finding]:
    """Name rows that are no picture, and what lies in a folder and is no picture of the dataset."""
    for row, reason in dataset.skipped:
        yield _finding("skipped_rows", [row], f"{row}: {reason}")
    if folder is None or not isinstance(dataset.contents, Files):
        return
    used = set(dataset.contents.names)
    for top, folders, names in os.walk(folder):
        below = Path(top).relative_to(folder).as_posix()
        prefix = "" if below == "." else f"{below}/"
        clutter = [one for one in folders if one.startswith(".") or one in CLUTTER]
        folders[:] = sorted(set(folders) - set(clutter))
        for name in sorted(clutter):
            yield _finding("hidden_files", [f"{prefix}{name}/"], f"{prefix}{name}/ is passed over")
        hidden = [one for one in names if one.startswith(".") or one.lower() in _CLUTTER_FILES]
        for name in sorted(hidden):
            yield _finding("hidden_files", [prefix + name], f"{prefix}{name} is passed over")
        others = sorted(set(names) - set(hidden))
        for name in others:
            if prefix + name not in used:
                yield _unused(folder, prefix + name)
        if not folders and not others and prefix:
            yield _finding("empty_class", [prefix], f"{prefix} has no picture")


def _unused(root: Path, key: str) -> Finding:
    if is_picture(key):
        return _finding("unused_files", [key], f"{key} lies in no class's folder, it is not used")
    try:
        with (root / key).open("rb") as file:
            kind = file_format(file.read(32))
    except OSError:
        kind = ""
    ending = PurePosixPath(key).suffix
    if kind:
        return _finding(
            "wrong_extension",
            [key],
            f"{key} is {kind}, but {ending or 'no ending'} is none of a picture: it is not used",
        )
    return _finding("unused_files", [key], f"{key} is no picture by its name, it is not used")


def _label_numbers(dataset: Dataset, place: int) -> tuple[int, ...]:
    if dataset.label_sets is not None:
        labels: tuple[int, ...] = dataset.label_sets[place]
        return labels
    return (int(dataset.labels[place]),)


def _labels(dataset: Dataset, place: int) -> str:
    return " and ".join(dataset.class_names[label] for label in _label_numbers(dataset, place))


def _names(keys: Sequence[str], most: int = NAMED_AT_MOST) -> str:
    more = f" and {len(keys) - most:,} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


assert set(_FORMAT_OF) == EXTENSIONS
