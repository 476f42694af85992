"""The head: the best linear layer on the features of the frozen backbone.

No gradient steps: the head is solved for a path of penalties in seconds, and validation
chooses among them. Each point of the path counts as an epoch in reports.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from tl.features import FeatureTable
from tl.heads import Moments, moments_of, set_moments, set_unit, unit_of
from tl.training.gather import Gathered
from tl.training.objectives import Objective, objective_of
from tl.training.probe import Solution, Table, measure, solve_path
from tl.training.progress import HEAD, EpochRecord
from tl.training.task import Task

PENALTIES = tuple(float(10**power) for power in np.arange(0.5, -5.01, -0.25))
"""From so strong that classes hardly differ to so weak that pictures are learnt by heart."""
PENALTY = PENALTIES[7]
"""Where no validation can choose: between the best ones of flower photographs, 0.03 and 0.1."""
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


def train_head(task: Task, gathered: Gathered) -> list[EpochRecord]:
    """Solve the head of a task's classifier on its stages' features."""
    classifier, head = task.classifier, task.classifier.head
    table, held_out = gathered.training(), gathered.validation
    taps = classifier.taps
    moments = moments_of(table.of_stages(taps), [table.widths[tap] for tap in taps])
    set_moments(head, moments)
    set_unit(head, table.targets, table.weights)
    objective = objective_of(task.problem, head.output_shape[-1], unit_of(head))
    training = table_of(table, taps, moments)
    validation = None if held_out is None else table_of(held_out, taps, moments)
    given = task.config.training.penalty
    penalties = (given,) if given else path_of(objective, chosen=validation is not None)
    task.listener.phase_started(HEAD, len(penalties), 1)
    records: list[EpochRecord] = []
    began, iterations = time.perf_counter(), 0
    smoothing = task.config.training.label_smoothing
    for point in points(training, validation, penalties, objective, smoothing):
        iterations += point.solution.iterations
        if point.best:
            keep(head, point.solution)
            task.on_best(classifier)
        seconds = time.perf_counter() - began
        records.append(
            EpochRecord(
                phase=HEAD,
                epoch=len(records) + 1,
                step=iterations,
                seconds=seconds,
                images_per_second=point.solution.evaluations * len(training) / max(1e-9, seconds),
                metrics=point.metrics,
                best=point.best,
            )
        )
        task.listener.step_done(HEAD, len(records), 1, len(training))
        task.listener.epoch_done(records[-1])
        began = time.perf_counter()
    return records


def table_of(table: FeatureTable, taps: tuple[int, ...], moments: Moments) -> Table:
    """Return features of some stages as the solver takes them."""
    return Table(moments.standardised(table.of_stages(taps)), table.targets, table.weights)


def path_of(objective: Objective, chosen: bool) -> tuple[float, ...]:
    """Return the penalties to try.

    Args:
        objective: a loss that bends more takes a stronger penalty to be held as straight; they
            were chosen on one class a picture, whose loss bends by 1/4.
        chosen: whether validation can choose among them.
    """
    return tuple(4 * objective.bend * one for one in (PENALTIES if chosen else (PENALTY,)))


def keep(head: keras.Model, solution: Solution) -> None:
    """Give a head the weights that were found."""
    head.get_layer("logits").set_weights([solution.kernel, solution.bias])


def points(
    training: Table,
    validation: Table | None,
    penalties: tuple[float, ...],
    objective: Objective,
    smoothing: float = 0.0,
) -> Iterator[Point]:
    """Walk the path from strong penalties to weak ones, until validation gets no better.

    Args:
        training: what to learn from.
        validation: what chooses; without it the training loss does.
        penalties: in their order.
        objective: the loss and its score.
        smoothing: of labels.
    """
    best_loss, since_best = np.inf, 0
    n_outputs = objective.n_outputs
    for solution in solve_path(training, n_outputs, penalties, objective, smoothing):
        metrics = {"penalty": solution.penalty}
        for prefix, table in (("", training), ("val_", validation)):
            if table is not None:
                outputs = solution.outputs(table.features)
                loss, score = measure(outputs, table.labels, table.weights, objective, smoothing)
                metrics |= {f"{prefix}loss": loss, f"{prefix}{objective.score_name}": score}
        loss = metrics.get("val_loss", metrics["loss"])
        best = loss < best_loss
        best_loss, since_best = (loss, 0) if best else (best_loss, since_best + 1)
        yield Point(solution, metrics, best)
        if since_best >= WORSE_AT_MOST:
            return
