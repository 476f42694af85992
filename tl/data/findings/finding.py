"""One thing that is wrong with a dataset, and every kind there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]

NAMED_AT_MOST = 5
"""Files that one message names."""


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
    "missing_on_side": ("warning", "classes without a picture on a given side"),
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


def finding(kind: str, keys: Sequence[str], message: str) -> Finding:
    """Return a finding with the severity of its kind."""
    return Finding(kind, KINDS[kind][0], tuple(keys), message)


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort findings by kind, errors first, then by the files they name."""
    rank = {kind: place for place, kind in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda one: (rank[one.kind], one.keys, one.message)))


def names_of(keys: Sequence[str], most: int = NAMED_AT_MOST) -> str:
    """Return the first names and how many more there are."""
    more = f" and {len(keys) - most:,} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def printable(text: str) -> str:
    """Return text for a terminal or a page; what a file's name has and none prints is escaped."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )
