"""The confusion matrix of the report, and the pictures behind its cells."""

from dataclasses import dataclass, field

import numpy as np

from tl.evaluation.predictions import Predictions
from tl.report.album import Album, Shown

MOST_CLASSES = 25
"""Of a matrix that is drawn whole; of more those that are mistaken most."""
PAIRS = 20
"""Of classes that are listed by how often they are mistaken, where not all are drawn."""
PRINTED = 8
"""Cells whose pictures are also on paper, where nothing opens."""
CELL_PICTURES = 6
NAMED = 12


@dataclass(slots=True)
class Cell:
    """Pictures of one class that were called another, or the same.

    Attributes:
        name: of its place on the page; empty where there is none.
        true: class that the pictures are labelled with.
        predicted: class that the model named.
        count: of the pictures.
        share: of all pictures of the class.
        is_right: whether both are the same.
        keys: of the pictures, the most confident answer first.
        pictures: those that are shown.
    """

    name: str
    true: str
    predicted: str
    count: int
    share: float
    is_right: bool
    keys: list[str] = field(default_factory=list)
    pictures: list[Shown] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Confusion:
    """A matrix, or the part of it that is worth a look.

    Attributes:
        names: of its columns.
        rows: name and cells of each.
        behind: cells that open, mistakes first, the most frequent first.
        pairs: the most frequent mistakes, where classes are left out.
        left_out: how many.
    """

    names: list[str]
    rows: list[tuple[str, list[Cell]]]
    behind: list[Cell]
    pairs: list[Cell]
    left_out: int


def confusion_matrix(predictions: Predictions, album: Album) -> Confusion:
    """Return the matrix; of many classes those are taken that are mistaken most."""
    names, truth, predicted = predictions.class_names, predictions.truth, predictions.predicted
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (truth, predicted), 1)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    kept = np.argsort(-wrong, kind="stable")[:MOST_CLASSES]
    kept = np.sort(kept).tolist()
    of_class = np.maximum(1, counts.sum(axis=1))

    def cell(row: int, column: int) -> Cell:
        count = int(counts[row, column])
        made = Cell(
            name=f"c-{row}-{column}" if count else "",
            true=names[row],
            predicted=names[column],
            count=count,
            share=count / int(of_class[row]),
            is_right=row == column,
        )
        if count:
            places = np.flatnonzero((truth == row) & (predicted == column))
            order = places[np.argsort(-predictions.confidence[places], kind="stable")]
            made.keys = [predictions.keys[place] for place in order[:NAMED].tolist()]
        return made

    cells = {(row, column): cell(row, column) for row in kept for column in kept}
    pairs: list[Cell] = []
    if len(names) > len(kept):
        mistakes = counts.copy()
        np.fill_diagonal(mistakes, 0)
        order = np.argsort(-mistakes, axis=None, kind="stable")[:PAIRS]
        for row, column in zip(*np.unravel_index(order, mistakes.shape), strict=True):
            place = (int(row), int(column))
            if mistakes[place]:
                pairs.append(cells.setdefault(place, cell(*place)))
    behind = [one for one in cells.values() if one.count]
    behind.sort(key=lambda one: (one.is_right, -one.count))
    _open(behind, album)
    return Confusion(
        names=[names[label] for label in kept],
        rows=[(names[row], [cells[row, column] for column in kept]) for row in kept],
        behind=behind,
        pairs=pairs,
        left_out=len(names) - len(kept),
    )


def _open(cells: list[Cell], album: Album) -> None:
    """Give pictures to cells: to every mistake one before any has two, to right answers last."""
    for is_right in (False, True):
        for nth in range(CELL_PICTURES):
            for one in cells:
                if one.is_right == is_right and nth < len(one.keys):
                    one.pictures += album.pictures([one.keys[nth]])
