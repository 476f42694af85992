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
from tl.training.objectives import Objective, objective_of
from tl.training.probe import Table, solve_path

HELD_OUT = 5
"""Without validation, one training picture in so many judges; also parts of a comparison."""
ENOUGH = 500
"""Validation pictures that tell two probes apart: 110 called flowers another kind in one draw of
three, by chance."""


@dataclass(frozen=True, slots=True, eq=False)
class StageProbe:
    """The best linear head on some stages.

    Attributes:
        taps: places of the stages.
        loss: mean over the pictures that judge.
        score: accuracy, or what the problem has in its place.
        penalty: that was best.
        losses: float64 (pictures,), of each of them, to compare two probes picture by picture.
    """

    taps: tuple[int, ...]
    loss: float
    score: float
    penalty: float
    losses: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a probe knows more than another.

    Attributes:
        compared: pictures whose losses are compared.
        loss: mean of the other's.
        gain: by how much the probe's is below.
        error: standard error of that, picture by picture.
    """

    compared: int
    loss: float
    gain: float
    error: float


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


def compare(
    probe: StageProbe, other: StageProbe, gathered: Gathered, problem: Problem, n_outputs: int
) -> Comparison:
    """Compare two probes by their losses on pictures that they did not learn from.

    With little validation the training pictures judge, each by heads that learnt from the other
    parts of them; validation has chosen the probes, and would favour what it has chosen.
    """
    validation = gathered.validation
    if validation is not None and len(validation) >= ENOUGH:
        losses, of_other = probe.losses, other.losses
    else:
        plain = gathered.plain
        losses, of_other = (_cross_fitted(plain, one, problem, n_outputs) for one in (probe, other))
    gains = of_other - losses
    # Of one picture nothing is certain.
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return Comparison(len(gains), float(of_other.mean()), float(gains.mean()), float(error))


def _cross_fitted(
    table: FeatureTable, probe: StageProbe, problem: Problem, n_outputs: int
) -> NDArray[np.float64]:
    """Return the loss of each picture, of a head on a probe's stages that learnt from others."""
    part = np.random.default_rng(0).permutation(len(table)) % HELD_OUT
    losses = np.zeros(len(table))
    for number in np.unique(part):
        rest, judging = (
            table.take(np.flatnonzero(one)) for one in (part != number, part == number)
        )
        if len(rest):
            losses[part == number] = _losses_of(rest, judging, probe, problem, n_outputs)
    return losses


def _losses_of(
    learnt: FeatureTable,
    judging: FeatureTable,
    probe: StageProbe,
    problem: Problem,
    n_outputs: int,
) -> NDArray[np.float64]:
    training, held_out, objective = _tables(learnt, judging, probe.taps, problem, n_outputs)
    (solution,) = solve_path(training, n_outputs, (probe.penalty,), objective)
    losses, _ = objective.losses(
        solution.outputs(held_out.features), objective.wanted(held_out.labels, 0.0)
    )
    return losses * held_out.weights


def _tables(
    learnt: FeatureTable,
    judging: FeatureTable,
    taps: tuple[int, ...],
    problem: Problem,
    n_outputs: int,
) -> tuple[Table, Table, Objective]:
    moments = stage_moments([learnt], taps)
    training, held_out = table_of([learnt], taps, moments), table_of([judging], taps, moments)
    unit = value_unit(problem, training.labels, training.weights)
    return training, held_out, objective_of(problem, n_outputs, unit)


def _probe(
    learnt: FeatureTable,
    judging: FeatureTable,
    taps: tuple[int, ...],
    problem: Problem,
    n_outputs: int,
) -> StageProbe:
    training, held_out, objective = _tables(learnt, judging, taps, problem, n_outputs)
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
        best.solution.penalty,
        losses * held_out.weights,
    )
