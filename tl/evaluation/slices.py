"""Where a model is worse than elsewhere: figures of parts of the test pictures. Pure numpy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.score_interval import mean_figure, wilson, with_intervals

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
        of: what is measured: ``right``, the share of right answers, or ``mae``, the mean absolute
            error.
        figure: of these pictures.
        interval: of 95 %.
        elsewhere: the figure of all other pictures.
        p_value: of the model being as good here as elsewhere, corrected for the number of slices
            looked at.
    """

    cut: str
    value: str
    n_pictures: int
    of: str
    figure: float
    interval: tuple[float, float]
    elsewhere: float
    p_value: float

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than elsewhere, and not by chance."""
        gap = self.elsewhere - self.figure if self.of == "right" else self.figure - self.elsewhere
        return gap > 0 and self.p_value < LEVEL


def find_slices(right: NDArray[np.bool_], cuts: Mapping[str, Sequence[str]]) -> list[Slice]:
    """Measure the parts of the pictures that some ways to cut give, the worst first.

    Args:
        right: (n,), whether the answer to each picture is right.
        cuts: by name, the part that each picture belongs to.

    Source: exact test of Fisher 1922 on each part against the rest; Holm 1979 for many of them.
    """
    from scipy.stats import fisher_exact  # takes 0.5 s to import

    def measure(here: NDArray[np.bool_], there: NDArray[np.bool_]) -> tuple[Any, ...]:
        hits, others = int(here.sum()), int(there.sum())
        table = [[hits, len(here) - hits], [others, len(there) - others]]
        return hits / len(here), wilson(hits, len(here)), float(fisher_exact(table).pvalue)

    return sorted(_slices("right", right, cuts, measure), key=lambda one: (one.figure, one.value))


def find_error_slices(
    errors: NDArray[np.floating[Any]], cuts: Mapping[str, Sequence[str]]
) -> list[Slice]:
    """Measure the parts of pictures whose answers are numbers, the worst first.

    Args:
        errors: (n,), of each answer.
        cuts: by name, the part that each picture belongs to.

    Source: rank test of Mann and Whitney 1947 on each part against the rest; Holm 1979.
    """
    from scipy.stats import mannwhitneyu  # takes 0.5 s to import

    def measure(here: NDArray[Any], there: NDArray[Any]) -> tuple[Any, ...]:
        mean = with_intervals({"mae": mean_figure(here)}, len(here))
        value = mean["mae"]
        interval = tuple(mean.get("mae_interval", (value, value)))
        return value, interval, float(mannwhitneyu(here, there).pvalue)

    sizes = np.abs(np.asarray(errors, np.float64))
    return sorted(_slices("mae", sizes, cuts, measure), key=lambda one: (-one.figure, one.value))


def _slices(
    of: str,
    values: NDArray[Any],
    cuts: Mapping[str, Sequence[str]],
    measure: Callable[[NDArray[Any], NDArray[Any]], tuple[Any, ...]],
) -> list[Slice]:
    """Return the slices that have enough pictures, in no order.

    Args:
        of: what is measured.
        values: (n,), whose mean it is.
        cuts: by name, the part that each picture belongs to.
        measure: of the values here and elsewhere: the mean here, its interval, and the p-value.
    """
    found = []
    for cut, parts in cuts.items():
        column = np.asarray(parts, object)
        different = sorted(set(parts))
        if not 1 < len(different) <= MOST_VALUES:
            continue
        for part in different:
            inside = column == part
            here, there = values[inside], values[~inside]
            if min(len(here), len(there)) < LEAST:
                continue
            figure, interval, chance = measure(here, there)
            elsewhere = float(there.mean())
            found.append(Slice(cut, part, len(here), of, figure, interval, elsewhere, chance))
    corrected = _holm([one.p_value for one in found])
    return [replace(one, p_value=p) for one, p in zip(found, corrected, strict=True)]


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
