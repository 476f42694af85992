"""Where a model is worse than elsewhere: figures of parts of the test pictures. Pure numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.score_interval import wilson

LEAST = 10
"""Pictures of a part, and beside it, below which a figure of it would be chance."""
MOST_VALUES = 50
"""Of one way to cut; a group for every picture or two says nothing."""
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the pictures.

    Attributes:
        cut: what they have in common: ``group``, ``size`` or ``folder``.
        value: of that.
        n_pictures: of them.
        right: share of right answers.
        interval: of 95 %.
        right_elsewhere: of all other pictures.
        p_value: of the model being as often right here as elsewhere, corrected for the number of
            slices looked at.
    """

    cut: str
    value: str
    n_pictures: int
    right: float
    interval: tuple[float, float]
    right_elsewhere: float
    p_value: float

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than elsewhere, and not by chance."""
        return self.right < self.right_elsewhere and self.p_value < LEVEL


def find_slices(right: NDArray[np.bool_], cuts: Mapping[str, Sequence[str]]) -> list[Slice]:
    """Measure the parts of the pictures that some ways to cut give, the worst first.

    Args:
        right: (n,), whether the answer to each picture is right.
        cuts: by name, the part that each picture belongs to.

    Source: exact test of Fisher 1922 on each part against the rest; Holm 1979 for many of them.
    """
    from scipy.stats import fisher_exact  # takes 0.5 s to import

    found: list[tuple[str, str, int, int, int, int, float]] = []
    for cut, values in cuts.items():
        column = np.asarray(values, object)
        different = sorted(set(values))
        if not 1 < len(different) <= MOST_VALUES:
            continue
        for value in different:
            inside = column == value
            count, others = int(inside.sum()), int((~inside).sum())
            if min(count, others) < LEAST:
                continue
            hits, elsewhere = int(right[inside].sum()), int(right[~inside].sum())
            table = [[hits, count - hits], [elsewhere, others - elsewhere]]
            chance = float(fisher_exact(table).pvalue)
            found.append((cut, value, count, hits, others, elsewhere, chance))
    corrected = _holm([one[-1] for one in found])
    slices = [
        Slice(cut, value, count, hits / count, wilson(hits, count), elsewhere / others, p_value)
        for (cut, value, count, hits, others, elsewhere, _), p_value in zip(
            found, corrected, strict=True
        )
    ]
    return sorted(slices, key=lambda one: (one.right, one.cut, one.value))


def size_words(sizes: NDArray[np.integer[Any]]) -> list[str]:
    """Return ``small``, ``middle`` or ``large`` for each picture, by its pixels, a third each.

    Args:
        sizes: (n, 2), height and width.
    """
    pixels = sizes.astype(np.int64).prod(axis=1)
    low, high = np.quantile(pixels, [1 / 3, 2 / 3])
    places = np.searchsorted([low, high + 1], pixels, side="right").tolist()
    return [("small", "middle", "large")[place] for place in places]


def _holm(p_values: Sequence[float]) -> list[float]:
    order = np.argsort(p_values)
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected
