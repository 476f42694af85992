"""How much each stage of the backbone knows of the classes: a linear head on each, and on all.

What the last stage knows best is what the backbone was pretrained for, so pictures for which an
earlier one knows more are of another kind: the measure of similarity in the transfer guideline.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tl.features import FeatureTable
from tl.heads import value_unit
from tl.problem import Problem
from tl.training.gather import Gathered
from tl.training.head import path_of, points, stage_moments, table_of
from tl.training.objectives import objective_of
from tl.training.probe import solve_path

HELD_OUT = 5
"""Without validation, one training picture in so many judges."""


@dataclass(frozen=True, slots=True, eq=False)
class StageProbe:
    """The best linear head on some stages.

    Attributes:
        taps: places of the stages.
        loss: mean over the pictures that judge.
        score: accuracy, or what the problem has in its place.
        losses: float64 (pictures,), of each of them, to compare two probes picture by picture.
    """

    taps: tuple[int, ...]
    loss: float
    score: float
    losses: NDArray[np.float64] = field(repr=False)


def probe_stages(gathered: Gathered, problem: Problem, n_outputs: int) -> tuple[StageProbe, ...]:
    """Return a probe of every stage alone, pixels' side first, and of all together.

    They learn from the plain views only: it is their order that counts, and it takes seconds.
    """
    learnt, judging = gathered.plain, gathered.validation
    if judging is None:
        rows = np.arange(len(learnt))
        judging = learnt.take(rows % HELD_OUT == 0)
        learnt = learnt.take(rows % HELD_OUT != 0)
    n_stages = len(learnt.widths)
    candidates = [*((number,) for number in range(n_stages)), tuple(range(n_stages))]
    return tuple(_probe(learnt, judging, taps, problem, n_outputs) for taps in candidates)


def best_taps(probes: tuple[StageProbe, ...]) -> tuple[int, ...]:
    """Return the stages with the lowest loss."""
    return min(probes, key=lambda probe: probe.loss).taps


def gain_of(probe: StageProbe, other: StageProbe) -> tuple[float, float]:
    """Return by how much one probe's loss is below another's, and that mean's standard error."""
    difference = other.losses - probe.losses
    if len(difference) < 2:  # of one picture nothing is certain
        return float(difference.mean()), float("inf")
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _probe(
    learnt: FeatureTable,
    judging: FeatureTable,
    taps: tuple[int, ...],
    problem: Problem,
    n_outputs: int,
) -> StageProbe:
    moments = stage_moments([learnt], taps)
    training, held_out = table_of([learnt], taps, moments), table_of([judging], taps, moments)
    objective = objective_of(
        problem, n_outputs, value_unit(problem, training.labels, training.weights)
    )
    # Every other penalty: the best of them is near the best of all.
    penalties = path_of(objective, chosen=True)[::2]
    solutions = solve_path(training, n_outputs, penalties, objective)
    path = points(solutions, training, held_out, objective)
    best = [point for point in path if point.best][-1]
    outputs = best.solution.outputs(held_out.features)
    wanted = objective.wanted(held_out.labels, 0.0)
    losses, _ = objective.losses(outputs, wanted)
    return StageProbe(
        taps,
        best.metrics["val_loss"],
        best.metrics[f"val_{objective.score_name}"],
        losses * held_out.weights,
    )
