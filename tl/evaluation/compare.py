"""Whether one model is better than another, by what both said of the same pictures. Pure numpy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.errors import ConfigError
from tl.evaluation.metrics import headline_figures
from tl.evaluation.multi_label import multi_label_figures
from tl.evaluation.predictions import NO_GROUP, Predictions
from tl.evaluation.regression import regression_figures
from tl.evaluation.score_interval import (
    Figure,
    Groups,
    group_numbers,
    mcnemar,
    paired_p_value,
    resampled_figures,
)
from tl.problem import LOWER_IS_BETTER, Problem

LEVEL = 0.05
FIGURES: dict[Problem, tuple[str, ...]] = {
    "single_label": ("top_1_accuracy", "top_5_accuracy", "macro_f1", "log_loss"),
    "multi_label": ("mean_average_precision", "micro_f1", "macro_f1", "log_loss"),
    "regression": ("mae", "rmse"),
}
"""By problem, the first of which decides."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both.

    Attributes:
        name: of the figure.
        first: its value of the first model.
        second: of the second.
        difference: second less first.
        interval: 95 % of the difference, by samples of the pictures that both share.
        p_value: of there being none.
        better: ``first``, ``second``, or ``neither``, where the difference may be chance.
    """

    name: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    better: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same pictures.

    Attributes:
        n_pictures: that both were measured on.
        only_first: pictures of the first alone.
        only_second: likewise.
        only_first_right: pictures that the first alone answers right; None of values.
        only_second_right: likewise.
        n_groups: that the pictures belong to; None where each stands for itself.
        differences: figure by figure, the one that decides first.
    """

    n_pictures: int
    only_first: int
    only_second: int
    only_first_right: int | None
    only_second_right: int | None
    n_groups: int | None
    differences: tuple[Difference, ...]


def compare_predictions(first: Predictions, second: Predictions) -> Comparison:
    """Compare two models on the pictures that both were measured on.

    Raises:
        ConfigError: they answer other questions, or share no picture, or not its label.

    Source: for accuracy, whose pictures are right or wrong, the exact test of McNemar 1947; for
    others, and where pictures belong to groups, the bootstrap of the difference (Efron 1979), each
    sample of pictures or groups for both models.
    """
    mine, theirs = _shared(first, second)
    one, other = _figures(first, mine), _figures(second, theirs)
    groups = _groups(first, mine)
    differences = []
    for name in FIGURES[first.problem]:
        if name not in one:
            continue
        both = resampled_figures(
            {"first": one[name], "second": other[name]}, len(mine), groups=groups
        )
        gap = both["second"] - both["first"]
        everyone = np.ones((1, len(mine)))
        here, there = float(one[name](everyone)[0]), float(other[name](everyone)[0])
        if name == "top_1_accuracy" and groups is None:
            p_value = mcnemar(first.right[mine], second.right[theirs])
        else:
            p_value = paired_p_value(both["first"], both["second"])
        low, high = np.percentile(gap, [2.5, 97.5])
        better = "neither"
        if p_value < LEVEL:
            is_higher = there > here
            better = "second" if is_higher != (name in LOWER_IS_BETTER) else "first"
        differences.append(
            Difference(name, here, there, there - here, (float(low), float(high)), p_value, better)
        )
    right = None
    if first.problem != "regression":
        hits, their_hits = first.right[mine], second.right[theirs]
        right = int((hits & ~their_hits).sum()), int((~hits & their_hits).sum())
    return Comparison(
        len(mine),
        len(first) - len(mine),
        len(second) - len(mine),
        right[0] if right else None,
        right[1] if right else None,
        None if groups is None else int(groups.max()) + 1,
        tuple(differences),
    )


def _groups(predictions: Predictions, places: NDArray[Any]) -> Groups:
    """Return the groups of the pictures, as their table has them."""
    cut = predictions.cuts.get("group")
    if cut is None:
        return None
    return group_numbers([None if cut[at] == NO_GROUP else cut[at] for at in places.tolist()])


def _shared(first: Predictions, second: Predictions) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the places of the shared pictures in both."""
    if first.problem != second.problem:
        raise ConfigError(
            f"one answers {first.problem} and the other {second.problem}: there is nothing to "
            "compare"
        )
    if first.class_names != second.class_names:
        raise ConfigError(
            f"the two models know other classes: {_some(first.class_names)} against "
            f"{_some(second.class_names)}"
        )
    places = {identity: place for place, identity in enumerate(second.identities)}
    pairs = [
        (place, places[identity])
        for place, identity in enumerate(first.identities)
        if identity in places
    ]
    if not pairs:
        raise ConfigError(
            "the two were measured on pictures of which none is the same (other datasets, or other "
            "seeds of the split): measure both on the same with --dataset DIR"
        )
    mine, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    if not np.array_equal(first.truth[mine], second.truth[theirs]):
        raise ConfigError(
            "some of the pictures have another label in the one run than in the other: measure "
            "both with the labels of today with --dataset DIR"
        )
    return mine, theirs


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _figures(predictions: Predictions, places: NDArray[Any]) -> dict[str, Figure]:
    answers, truth = predictions.answers[places], predictions.truth[places]
    if predictions.problem == "single_label":
        return headline_figures(answers, truth)
    if predictions.problem == "multi_label":
        return multi_label_figures(answers, truth > 0.5)
    return regression_figures(answers[:, 0] - truth[:, 0].astype(np.float64), truth[:, 0])
