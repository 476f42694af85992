"""How a run begins: heads on more and more, and the choice of what comes after them.

Receives a task, gives it back with the head that the choice wants, the records of all heads, and
the phases of fine-tuning that follow, which `tl.training.tuning` executes.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping

from tl.classifier import attach_head
from tl.strategy import Evidence, Executed, Phase, choose_phases, decide, go_further
from tl.training.cost_estimate import update_cost
from tl.training.gather import Gathered, Gatherer
from tl.training.head import lowest_loss, train_head
from tl.training.objectives import score_name
from tl.training.progress import HEAD, PROBE, STAGE_PROBE, EpochRecord
from tl.training.stage_probes import StageProbe, best_taps, compare, probe_stages
from tl.training.task import Task
from tl.words import counted
from tl.zoo.cost import stage_costs

FIRST_PICTURES = 2000
FIRST_SECONDS = 20.0
"""A usable model exists within the first minute, however many pictures there are."""
_log = logging.getLogger(__name__)


def begin_with_heads(task: Task) -> tuple[Task, list[EpochRecord], tuple[Phase, ...]]:
    """Solve heads on more and more, decide how to go on, and return the phases that do.

    The first ones are there early and serve where a run is stopped; each has to beat the one
    before on validation.
    """
    training, n_views = task.config.training, task.config.augment.feature_views
    began, gatherer = time.perf_counter(), Gatherer(task)
    if some := gatherer.sample(FIRST_PICTURES, FIRST_SECONDS):
        train_head(task, some, "a first head")
        task.before_training(gatherer.seconds_per_picture() * len(task.training) * (1 + n_views))
    plain = gatherer.plain()
    is_probed = training.strategy in ("stages", "auto")
    records = own = train_head(task, plain, PROBE if n_views or is_probed else HEAD)
    strategy: Executed = "features" if training.strategy == "auto" else training.strategy
    if is_probed:
        probes = probe_stages(plain, task.problem, task.classifier.head.output_shape[-1])
        taps = best_taps(probes)
        if training.strategy == "auto":
            decision = decide(_evidence(task, probes, gatherer, plain, began))
            task.on_decision(decision)
            strategy = decision.strategy
            taps = taps if decision.reads_stages else task.classifier.taps
        if taps != task.classifier.taps:
            task = _tapping(task, taps)
            own = train_head(task, plain, STAGE_PROBE, first_step=records[-1].step)
            records = [*records, *own]
    gathered = gatherer.with_views(plain, n_views, task.classifier.taps)
    if gathered is not plain:
        records = [*records, *train_head(task, gathered, HEAD, lowest_loss(own), records[-1].step)]
    return task, records, _plan_phases(task, strategy, epoch_seconds(task, gatherer))


def _plan_phases(
    task: Task, strategy: Executed, seconds: Mapping[Executed, float]
) -> tuple[Phase, ...]:
    """Return the phases that there is time for, and say if that is less than was wanted."""
    training, left = task.config.training, task.seconds_left()
    is_auto = training.strategy == "auto"
    phases = choose_phases(
        training,
        go_further(strategy, left) if is_auto else (strategy,),
        seconds,
        left,
        # Pictures of another kind need all layers for long before they beat heads on all stages:
        # a short round says nothing there (CIFAR-10: 0.711 after one, 0.743 after all epochs).
        in_rounds=is_auto and strategy == "last" and bool(task.validation),
    )
    of_first = sum(one.epochs for one in phases if one.n_stages == phases[0].n_stages)
    if seconds[strategy] and of_first < training.epochs:
        _log.warning(
            "the time budget has room for %s of fine-tuning, about %.0f s each",
            counted(of_first, "epoch"),
            seconds[strategy],
        )
    task.before_training(sum(one.epochs * seconds[_strategy_of(one)] for one in phases))
    return phases


def _strategy_of(phase: Phase) -> Executed:
    return "all" if phase.n_stages is None else "last"


def epoch_seconds(task: Task, gatherer: Gatherer) -> dict[Executed, float]:
    """Estimate the time of an epoch by strategy; 0 where nothing is fine-tuned."""
    classifier = task.classifier
    costs = stage_costs(classifier.backbone, classifier.stages)
    plain = gatherer.seconds_per_picture() * len(task.training)
    return {
        "features": 0.0,
        "stages": 0.0,
        "last": plain * update_cost(costs, task.config.training.last_stages),
        "all": plain * update_cost(costs, None),
    }


def _evidence(
    task: Task,
    probes: tuple[StageProbe, ...],
    gatherer: Gatherer,
    gathered: Gathered,
    began: float,
) -> Evidence:
    """Collect what the choice of a strategy rests on; the clock began with the heads."""
    classifier = task.classifier
    last = next(one for one in probes if one.taps == (len(classifier.stages) - 1,))
    best = min(probes, key=lambda one: one.loss)
    n_outputs = classifier.head.output_shape[-1]
    views = task.config.augment.feature_views * len(task.training)
    found = compare(best, last, gathered, task.problem, n_outputs)
    return Evidence(
        pictures_per_class=len(task.training) / n_outputs,
        score_name=score_name(task.problem),
        last_score=last.score,
        best_taps=best.taps,
        best_score=best.score,
        compared=found.compared,
        last_loss=found.loss,
        gain=found.gain,
        gain_error=found.error,
        head_seconds=time.perf_counter() - began + views * gatherer.seconds_per_picture(),
        epochs=task.config.training.epochs,
        epoch_seconds=epoch_seconds(task, gatherer),
    )


def _tapping(task: Task, taps: tuple[int, ...]) -> Task:
    """Return a task whose classifier has a new head, on some stages of the same backbone."""
    classifier = attach_head(
        task.classifier.backbone,
        n_classes=task.classifier.head.output_shape[-1],
        dropout=task.config.model.dropout,
        problem=task.problem,
        taps=taps,
        hidden=task.config.model.hidden,
    )
    return dataclasses.replace(task, classifier=classifier)
