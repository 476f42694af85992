"""The head: the best linear layer on the features of the frozen backbone.

No gradient steps: the head is solved for a path of penalties in seconds, and validation
chooses among them. Each point of the path counts as an epoch in reports.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tl.features import FeatureTable
from tl.heads import (
    Moments,
    blocks_of,
    moments_of,
    set_layers,
    set_moments,
    set_unit,
    value_unit,
)
from tl.training.gather import Gathered
from tl.training.objectives import Objective, objective_of
from tl.training.probe import Solution, Table, measure, solve_path
from tl.training.progress import HEAD, EpochRecord
from tl.training.task import Task

PENALTIES = tuple(float(10**power) for power in np.arange(0.5, -5.01, -0.25))
"""From so strong that classes hardly differ to so weak that pictures are learnt by heart."""
PENALTY = PENALTIES[7]
"""Where no validation can choose: between the best ones of flower photographs, 0.03 and 0.1."""
STORE_SECONDS = 5.0
"""Between two heads that are stored; most paths are walked in less and store one."""
WORSE_AT_MOST = 3
"""Points of the path without a better validation loss; it has one valley, so more cannot pay."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One point of the path of penalties.

    Attributes:
        solution: the linear layer.
        metrics: loss and score on training, and with val_ before them on validation; the penalty.
        best: whether validation was the best so far.
    """

    solution: Solution
    metrics: dict[str, float]
    best: bool


def train_head(
    task: Task,
    gathered: Gathered,
    phase: str = HEAD,
    to_beat: float = math.inf,
    first_step: int = 0,
) -> list[EpochRecord]:
    """Solve the head of a task's classifier on its stages' features.

    Args:
        task: whose classifier is given the best weights.
        gathered: what to learn from.
        phase: name for reports.
        to_beat: validation loss of the head that the classifier has.
        first_step: iterations of those solved before.
    """
    classifier, head = task.classifier, task.classifier.head
    learnt, held_out, taps = gathered.training(), gathered.validation, classifier.taps
    moments = stage_moments(learnt, taps)
    training = table_of(learnt, taps, moments)
    unit = value_unit(task.problem, training.labels, training.weights)
    objective = objective_of(task.problem, head.output_shape[-1], unit)
    validation = None if held_out is None else table_of([held_out], taps, moments)
    given = task.config.training.penalty
    hidden = task.config.model.hidden
    penalties = (given,) if given else path_of(objective, validation is not None, bool(hidden))
    task.listener.phase_started(phase, len(penalties), 1)
    records: list[EpochRecord] = []
    began, steps, stored, is_stored = time.perf_counter(), first_step, time.monotonic(), True
    smoothing = task.config.training.label_smoothing
    solutions = solve_path(
        training, objective.n_outputs, penalties, objective, smoothing, hidden, task.config.seed
    )
    for point in points(solutions, training, validation, objective, smoothing, to_beat):
        steps += point.solution.iterations
        if point.best:
            set_moments(head, moments)
            set_unit(head, unit)
            set_layers(head, point.solution.layers)
            is_stored = time.monotonic() - stored > STORE_SECONDS
            if is_stored:
                task.on_best(classifier)
                stored = time.monotonic()
        seconds = time.perf_counter() - began
        records.append(
            EpochRecord(
                phase=phase,
                epoch=len(records) + 1,
                step=steps,
                seconds=seconds,
                images_per_second=point.solution.evaluations * len(training) / max(1e-9, seconds),
                metrics=point.metrics,
                best=point.best,
            )
        )
        task.listener.step_done(phase, len(records), 1, len(training))
        task.listener.epoch_done(records[-1])
        began = time.perf_counter()
    task.listener.phase_ended(phase)
    if not is_stored:
        task.on_best(classifier)
    return records


def lowest_loss(records: Sequence[EpochRecord]) -> float:
    """Return the validation loss to beat; infinity where nothing was validated."""
    return min((one.metrics.get("val_loss", math.inf) for one in records), default=math.inf)


def stage_moments(tables: Sequence[FeatureTable], taps: tuple[int, ...]) -> Moments:
    """Return mean and variance of the features of some stages, over the rows of all tables."""
    return moments_of(
        [one.of_stages(taps) for one in tables], [tables[0].widths[tap] for tap in taps]
    )


def table_of(tables: Sequence[FeatureTable], taps: tuple[int, ...], moments: Moments) -> Table:
    """Return features of some stages as the solver takes them, the tables' rows in order."""
    parts = [one.of_stages(taps) for one in tables]
    features = np.empty((sum(map(len, tables)), parts[0].shape[1]), np.float32)
    first = 0
    for block in blocks_of(parts):
        features[first : first + len(block)] = moments.standardised(block)
        first += len(block)
    return Table(
        features,
        np.concatenate([one.targets for one in tables]),
        np.concatenate([one.weights for one in tables]),
    )


def path_of(objective: Objective, chosen: bool, hidden: bool = False) -> tuple[float, ...]:
    """Return the penalties to try.

    Args:
        objective: a loss that bends more takes a stronger penalty to be held as straight; they
            were chosen on one class a picture, whose loss bends by 1/4.
        chosen: whether validation can choose among them.
        hidden: whether there is a hidden layer, which costs more and needs no strong ones.
    """
    penalties = PENALTIES[4::4] if hidden else PENALTIES
    return tuple(4 * objective.bend * one for one in (penalties if chosen else (PENALTY,)))


def points(
    solutions: Iterable[Solution],
    training: Table,
    validation: Table | None,
    objective: Objective,
    smoothing: float = 0.0,
    to_beat: float = math.inf,
) -> Iterator[Point]:
    """Walk the path from strong penalties to weak ones, until validation gets no better.

    Args:
        solutions: of `solve_path`.
        training: what they learnt from.
        validation: what chooses; without it the training loss does.
        objective: the loss and its score.
        smoothing: of labels.
        to_beat: validation loss below which a point is the best so far.
    """
    lowest, since_lowest, best_loss = math.inf, 0, to_beat
    for solution in solutions:
        metrics = {"penalty": solution.penalty}
        for prefix, table in (("", training), ("val_", validation)):
            if table is not None:
                outputs = solution.outputs(table.features)
                loss, score = measure(outputs, table.labels, table.weights, objective, smoothing)
                metrics |= {f"{prefix}loss": loss, f"{prefix}{objective.score_name}": score}
        loss = metrics.get("val_loss", metrics["loss"])
        yield Point(solution, metrics, best=loss < best_loss)
        best_loss = min(loss, best_loss)
        lowest, since_lowest = (loss, 0) if loss < lowest else (lowest, since_lowest + 1)
        if since_lowest >= WORSE_AT_MOST:
            return
