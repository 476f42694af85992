"""What a linear probe says of pictures that it did not learn from.

Receives features of a backbone and a plan of who judges whom, gives outputs for every picture that
judges. The penalty of a picture's probe is chosen by other pictures' losses, so the score of these
outputs is not flattered by the choice. (Where pictures judge in turn, those others' probes have
learnt from it: what is left of it in one number chosen among twelve does not show.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.data.strata import Rows, stratified_folds
from tl.errors import DatasetError
from tl.heads import moments_of, value_unit
from tl.problem import Problem
from tl.training.head import path_of, points
from tl.training.objectives import Floats, Labels, Objective, objective_of
from tl.training.probe import Table, solve_path

FOLDS = 5
ENOUGH = 1000
"""Validation pictures: an accuracy is then known to 3 points up and down, whatever it is."""
GIVEN_ENOUGH = 100
"""Likewise, where the dataset gives them: to 10 points, but of the pictures that count."""


@dataclass(frozen=True, slots=True, eq=False)
class Judging:
    """Which pictures judge, and which ones the probe that they judge has learnt from.

    Attributes:
        rounds: rows to learn from and rows that judge; none judges twice.
        blocks: int64 (rows,); the penalty of a block's pictures is chosen by the other blocks'.
        words: how it goes, for people.
    """

    rounds: tuple[tuple[Rows, Rows], ...]
    blocks: NDArray[np.int64] = field(repr=False)
    words: str

    @property
    def rows(self) -> Rows:
        """The rows that judge, in order."""
        return np.sort(np.concatenate([judges for _, judges in self.rounds]))


def plan_judging(
    validates: NDArray[np.bool_],
    strata: NDArray[Any],
    units: Sequence[str],
    *,
    given: bool,
    seed: int,
) -> Judging:
    """Decide who judges.

    Validation pictures do where they are enough. Where they are few, an interval from them alone
    would be too wide to tell backbones apart: then training and validation pictures judge in turn,
    each the probe of a round in which it was not learnt from. Validation pictures that the
    dataset itself gives may be of another kind on purpose (another camera, a later year), so fewer
    of them are enough. Test pictures never take part.

    The intervals of judging in turn are a little too narrow: rounds share what they learn from, and
    no estimate of that variance is unbiased (Bengio & Grandvalet 2004).

    Args:
        validates: (rows,), which pictures are validation, the others being training.
        strata: (rows,), what kind each is of.
        units: (rows,), names of what may not be torn apart.
        given: whether the dataset itself gives the validation pictures, or a search for
            near-duplicates made the split, whose groups only the split knows.
        seed: of the rounds.

    Raises:
        DatasetError: fewer than two pictures that are not of one group.
    """
    count = int(validates.sum())
    if GIVEN_ENOUGH <= count < len(validates) and (given or count >= ENOUGH):
        blocks = stratified_folds(strata, units, FOLDS, seed)
        rounds = ((np.flatnonzero(~validates), np.flatnonzero(validates)),)
        return Judging(rounds, blocks, f"{count:,} validation pictures judge")
    folds = stratified_folds(strata, units, FOLDS, seed)
    n_folds = int(folds.max()) + 1
    if n_folds < 2:
        raise DatasetError(
            f"all {len(folds):,} training and validation pictures are of one group, so none can "
            "judge what is learnt from the others; give more pictures"
        )
    in_turn = tuple(
        (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(n_folds)
    )
    words = f"{len(folds):,} training and validation pictures judge in turn, in {n_folds} folds"
    return Judging(in_turn, folds, words)


def scoring_of(problem: Problem, n_outputs: int, labels: Labels) -> Objective:
    """Return the objective whose outputs `unseen_outputs` gives.

    Args:
        problem: what is learned.
        n_outputs: width of the outputs.
        labels: of all pictures. Their mean and deviation are the unit of values, in all rounds the
            same: a linear probe with a bias finds the same answers in any.
    """
    unit = value_unit(problem, labels, np.ones(len(labels), np.float32))
    return objective_of(problem, n_outputs, unit)


def unseen_outputs(
    features: Floats, labels: Labels, weights: Floats, judging: Judging, objective: Objective
) -> Floats:
    """Return what probes say of the pictures that judge them, float32 (rows, n_outputs).

    Args:
        features: float32 (rows, n_features), of the frozen backbone, raw.
        labels: (rows,) or (rows, width), as `tl.training.probe.Table` takes them.
        weights: float32 (rows,), in the loss; 0 neither teaches nor chooses.
        judging: who judges; rows that do not are nan.
        objective: of `scoring_of`.
    """
    # Every other penalty: the best of them is near the best of all.
    penalties = path_of(objective, chosen=True)[::2]
    shape = (len(penalties), len(labels), objective.n_outputs)
    outputs = np.full(shape, np.nan, np.float32)
    # A path ends where it only gets worse; what lies beyond is not chosen.
    losses = np.full(shape[:2], np.inf)
    for learnt, judges in judging.rounds:
        moments = moments_of([features[learnt]])
        training, held_out = (
            Table(moments.standardised(features[rows]), labels[rows], weights[rows])
            for rows in (learnt, judges)
        )
        wanted = objective.wanted(held_out.labels, 0.0)
        solutions = solve_path(training, objective.n_outputs, penalties, objective)
        for place, point in enumerate(points(solutions, training, held_out, objective)):
            said = point.solution.outputs(held_out.features)
            outputs[place, judges] = said
            losses[place, judges] = objective.losses(said, wanted)[0]
    chosen = np.full(shape[1:], np.nan, np.float32)
    rows = judging.rows
    blocks = judging.blocks[rows]
    for block in np.unique(blocks):
        mine, others = rows[blocks == block], rows[blocks != block]
        if not len(others):  # all that judge are one group
            others = mine
        place = int(np.argmin(_mean_losses(losses, weights, others)))
        # Where this block's own path was shorter, its last point stands for what lies beyond.
        reached = int(np.isfinite(losses[:, mine[0]]).sum()) - 1
        chosen[mine] = outputs[min(place, reached), mine]
    return chosen


def _mean_losses(losses: NDArray[np.float64], weights: Floats, rows: Rows) -> NDArray[np.float64]:
    """Return the weighted mean loss of some rows for every penalty, inf where one has none."""
    some, mass = losses[:, rows], weights[rows].astype(np.float64)
    reached = np.isfinite(some).all(axis=1)
    means = np.full(len(losses), np.inf)
    means[reached] = some[reached] @ mass
    return means
