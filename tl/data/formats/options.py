"""What the user says of a source, beside where it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tl.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the user says of a source.

    Attributes:
        path_column, label_column: of a table, where they have no usual name; ``label_column`` is
            also the key of the label in the JSON of tar shards.
        root: folder that a table's paths start from and stay in; None is the table's own.
        cache: folder for downloads and copies.
        problem: what the labels are for; of ``regression`` they are read as numbers.
    """

    path_column: str | None = None
    label_column: str | None = None
    root: Path | None = None
    cache: Path | None = None
    problem: Literal["auto"] | Problem = "auto"
