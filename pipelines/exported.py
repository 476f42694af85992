"""What came of an export: a value without TensorFlow, which a machine that trains may lack."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl.problem import Problem

EVALUATION = "evaluation.json"
SUSPECTS = "suspects.csv"
Unreadable = tuple[tuple[str, str], ...]
"""Key and reason of pictures that a model could not be measured on."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A published version.

    Attributes:
        path: its folder.
        measured_on: the side that the metrics are of, or ``nothing``.
        metrics: as `tl.evaluation.measures` gives them, computed on the SavedModel.
        unreadable: key and reason of the pictures that it could not be measured on.
        problem: what it answers.
    """

    path: Path
    measured_on: str
    metrics: dict[str, Any]
    unreadable: Unreadable = ()
    problem: Problem = "single_label"
