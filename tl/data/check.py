"""What is wrong with a dataset, in findings that name their files. No prints, no files written.

Receives an opened dataset and what `tl.data.look` saw of each picture. An error is what stops
training or makes its number wrong: unreadable pictures, one picture under two labels or on two
sides, a class too small to split. Everything else is a warning.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tl.data.example import Column, Dataset, Side
from tl.data.findings.classes import class_findings
from tl.data.findings.copies import alike_findings, group_findings, groups_of_copies
from tl.data.findings.files import extension_findings, file_findings
from tl.data.findings.finding import Finding, Severity, in_order
from tl.data.findings.pictures import altered_findings, trait_findings, unreadable_findings
from tl.data.look import Looks, look_at
from tl.data.similar import near_duplicate_groups


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
        *unreadable_findings(dataset, looks),
        *altered_findings(chosen, identities),
        *alike_findings(chosen, identities.tolist(), found),
        *group_findings(chosen),
        *class_findings(chosen, identities, sides),
        *extension_findings(dataset, looks),
        *trait_findings(chosen, looks, good),
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
    copies = groups_of_copies(identities.tolist())
    return in_order(
        [
            *alike_findings(dataset, identities.tolist(), copies),
            *group_findings(dataset),
            *class_findings(dataset, identities, sides),
            *file_findings(dataset, folder),
        ]
    )
