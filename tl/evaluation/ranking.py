"""Which backbone is best, which ones are as good as far as anyone can tell, and which to take.

Receives what a probe on each backbone said of the same pictures, gives an order with intervals and
one recommendation. A score is an estimate: the cheapest of those that cannot be told from
the best is the one to take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.score_interval import (
    mcnemar,
    paired_p_value,
    percentile_interval,
    resampled,
    wilson,
)
from tl.problem import LOWER_IS_BETTER, Problem
from tl.training.objectives import Labels, Objective

LEVEL = 0.05
"""Chance of calling backbones different that are equally good, over all comparisons together."""
WORDS = {"accuracy": "accuracy", "micro_f1": "micro F1", "mae": "mean error"}


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A backbone whose probe was judged.

    Attributes:
        name: of the backbone.
        multiply_adds: for one picture; the cheaper one is preferred by them.
        outputs: float32 (pictures, n_outputs), of probes that had not seen the picture.
    """

    name: str
    multiply_adds: int
    outputs: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A place in the ranking.

    Attributes:
        name: of the backbone.
        score: accuracy, micro F1, or mean absolute error in the user's unit.
        interval: of 95 %.
        p_value: of being as good as the first; 1 for the first.
        ties: whether it cannot be told from the first.
    """

    name: str
    score: float
    interval: tuple[float, float]
    p_value: float
    ties: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Backbones from the best to the worst.

    Attributes:
        rows: in order.
        recommended: name of the one to take.
        reason: why, in a line.
        score_name: ``accuracy``, ``micro_f1`` or ``mae``.
        n_pictures: that judged.
    """

    rows: tuple[Ranked, ...]
    recommended: str
    reason: str
    score_name: str
    n_pictures: int


def rank(
    candidates: Sequence[Candidate],
    labels: Labels,
    problem: Problem,
    objective: Objective,
    seed: int,
) -> Ranking:
    """Rank backbones by the score of their probes.

    Each is compared with the first on the same pictures: McNemar's test of one class a picture, a
    paired bootstrap of other scores. The first was chosen among all, so chance of a wrong
    call is shared among the comparisons (Bonferroni).

    Args:
        candidates: one or more, all of the same pictures.
        labels: of the pictures.
        problem: what is learned.
        objective: gives the score.
        seed: of the bootstrap.
    """
    sign = -1 if objective.score_name in LOWER_IS_BETTER else 1
    ones = np.ones(len(labels), np.float32)
    scores = [float(objective.score(one.outputs, labels, ones)) for one in candidates]
    judged = [_judged(one, labels, problem, objective, seed) for one in candidates]
    # Of equal scores the cheaper one is first.
    order = sorted(
        range(len(candidates)), key=lambda at: (-sign * scores[at], candidates[at].multiply_adds)
    )
    best = order[0]
    rows = []
    for at in order:
        p_value = 1.0 if at == best else _p_value(judged[best], judged[at], problem)
        rows.append(
            Ranked(
                name=candidates[at].name,
                score=scores[at],
                interval=_interval(judged[at], problem),
                p_value=p_value,
                ties=at == best or p_value > LEVEL / (len(candidates) - 1),
            )
        )
    costs = {one.name: one.multiply_adds for one in candidates}
    tied = [row for row in rows if row.ties]
    taken = min(tied, key=lambda row: costs[row.name])
    cheaper = [row for row in rows if costs[row.name] < costs[taken.name]]
    return Ranking(
        rows=tuple(rows),
        recommended=taken.name,
        reason=_reason(taken, rows, cheaper, objective.score_name, len(labels)),
        score_name=objective.score_name,
        n_pictures=len(labels),
    )


def figure(value: float, score_name: str) -> str:
    """Return a score as people read it."""
    return f"{value:.4g}" if score_name in LOWER_IS_BETTER else f"{value:.3f}"


def _judged(
    one: Candidate, labels: Labels, problem: Problem, objective: Objective, seed: int
) -> NDArray[np.float64]:
    """Return where it is right, or its score on samples of the pictures."""
    if problem == "single_label":
        return np.asarray(one.outputs.argmax(axis=1) == labels, np.float64)
    return np.asarray(
        resampled(lambda weights: objective.score(one.outputs, labels, weights), len(labels), seed),
        np.float64,
    )


def _interval(judged: NDArray[np.float64], problem: Problem) -> tuple[float, float]:
    if problem == "single_label":
        return wilson(int(judged.sum()), len(judged))
    return percentile_interval(judged)


def _p_value(best: NDArray[np.float64], other: NDArray[np.float64], problem: Problem) -> float:
    if problem == "single_label":
        return mcnemar(best > 0, other > 0)
    return paired_p_value(best, other)


def _reason(
    taken: Ranked, rows: list[Ranked], cheaper: list[Ranked], score_name: str, n_pictures: int
) -> str:
    word, best = WORDS[score_name], rows[0]
    score = f"{word} {figure(taken.score, score_name)}"
    if len(rows) == 1:
        return f"{score}; there was no other to compare it with"
    if taken is not best:
        gap = figure(abs(best.score - taken.score), score_name)
        return (
            f"{score}, and it is the cheapest of those that {n_pictures:,} pictures cannot tell "
            f"from the first: {best.name} is {gap} better, which may be chance "
            f"(p {_p_words(taken)})"
        )
    if not cheaper:
        return f"{score}, the best, and none is cheaper"
    nearest = cheaper[0]  # rows are in order, so it is the best of the cheaper ones
    gap = figure(abs(best.score - nearest.score), score_name)
    return (
        f"{score}, the best; of the cheaper ones {nearest.name} comes nearest and is {gap} worse, "
        f"which is hardly chance (p {_p_words(nearest)})"
    )


def _p_words(row: Ranked) -> str:
    return "< 0.001" if row.p_value < 0.001 else f"= {row.p_value:.2g}"
