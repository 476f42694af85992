"""One phase of training: updates, validation after each epoch, best weights, early stopping.

A loop of our own in place of Keras' `fit`, because a run that was killed goes on in the middle of
an epoch with the same numbers: everything that the loop remembers is in a `PhaseState`.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import keras

from tl.errors import TrainingError
from tl.heads import deviation_of
from tl.problem import Problem
from tl.training.losses import loss_and_metric
from tl.training.optimizer import averaged_weights
from tl.training.progress import EpochRecord, Listener
from tl.training.updates import Batch

EXPLODED = 10.0
"""Rise of the loss over where the phase began, in nats, that no learning needs."""
EXPLOSION_UPDATES = 5


class Diverged(TrainingError):
    """Say that the loss of a phase is no number any more, or has exploded."""


@dataclass(slots=True, kw_only=True, eq=False)
class PhaseState:
    """Where a phase stands between two updates, beside the variables of model and optimizer.

    Attributes:
        step: updates done in this phase.
        sums: of the metrics over the updates of the epoch under way.
        best_loss: lowest validation loss so far, or that of the weights the phase began with.
        best_weights: of that loss.
        epochs_since_best: without a better validation loss.
        records: of the finished epochs.
    """

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_loss: float = math.inf
    best_weights: list[Any]
    epochs_since_best: int = 0
    records: list[EpochRecord] = field(default_factory=list)


def compile_classifier(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    label_smoothing: float = 0.0,
    problem: Problem = "single_label",
    jit_compile: bool | Literal["auto"] = "auto",
) -> None:
    """Compile a model with a head for batches of (images or features, targets, weights).

    Args:
        model: changed in place.
        optimizer: for its updates.
        label_smoothing: as in `tl.training.losses`.
        problem: what is learned.
        jit_compile: with XLA; ``auto`` leaves it to Keras.
    """
    loss, metric = loss_and_metric(problem, deviation_of(model), label_smoothing)
    model.compile(
        optimizer=optimizer, loss=loss, weighted_metrics=[metric], jit_compile=jit_compile
    )


def run_phase(
    model: keras.Model,
    update: Callable[[Batch], dict[str, float]],
    batches: Iterable[Batch],
    validation: Iterable[Batch] | None,
    *,
    state: PhaseState,
    phase: str,
    epochs: int,
    steps_per_epoch: int,
    batch_size: int,
    listener: Listener,
    first_step: int = 0,
    patience: int | None = None,
    until: int | None = None,
    restore_best: bool = True,
    on_best: Callable[[], None] = lambda: None,
    on_update: Callable[[], object] = lambda: None,
    has_time: Callable[[float], bool] = lambda seconds: True,
) -> None:
    """Train a compiled model from where a state says to the end of a phase.

    Args:
        model: compiled by `compile_classifier`.
        update: takes a batch, changes the model, returns the batch's metrics.
        batches: endless, from update ``state.step`` on.
        validation: one pass each time it is iterated, or None.
        state: changed in place.
        phase: name for reports.
        epochs: upper bound.
        steps_per_epoch: optimizer updates an epoch.
        batch_size: pictures an update, for the throughput.
        listener: told of steps and epochs.
        first_step: updates of the phases before this one.
        until: the epoch to stop after for now, to be gone on with; None is ``epochs``.
        patience: epochs without a better validation loss before stopping; None never stops.
        restore_best: end with the weights of the best validation loss; without validation, with
            those of the last epoch.
        on_best: called whenever validation is the best so far (to store the weights).
        on_update: called after every update (to store the state).
        has_time: says whether so many seconds, those of the last epoch, are left for another.

    Raises:
        Diverged: the loss is not a number any more, or has exploded; the state is as it was after
            the last epoch, the model is not.
    """
    listener.phase_started(phase, epochs, steps_per_epoch)
    source = iter(batches)
    bound, high = state.best_loss + EXPLODED, 0
    began, first = time.perf_counter(), state.step
    paced_from = None  # after the first update, which compiles
    while state.step < (until or epochs) * steps_per_epoch and not _has_stopped(
        state, steps_per_epoch, patience
    ):
        metrics = update(next(source))
        high = high + 1 if metrics["loss"] > bound else 0
        if not math.isfinite(metrics["loss"]) or high == EXPLOSION_UPDATES:
            raise _diverged(phase, metrics["loss"], state.step // steps_per_epoch)
        for name, value in metrics.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.step += 1
        paced_from = paced_from or (time.perf_counter(), state.step)
        epoch, step = divmod(state.step - 1, steps_per_epoch)
        listener.step_done(phase, epoch + 1, step + 1, batch_size)
        listener.update_done(phase, first_step + state.step, metrics)
        ended = step + 1 == steps_per_epoch
        if ended:
            updating = time.perf_counter() - began
            with averaged_weights(model):
                metrics, best = _end_epoch(model, validation, state, steps_per_epoch)
                if not math.isfinite(metrics.get("val_loss", 0.0)):
                    raise _diverged(phase, metrics["val_loss"], epoch)
                if best:
                    state.best_weights = model.get_weights()
                    on_best()
            record = EpochRecord(
                phase=phase,
                epoch=epoch + 1,
                step=first_step + state.step,
                seconds=time.perf_counter() - began,
                images_per_second=(state.step - first) * batch_size / max(1e-9, updating),
                metrics=metrics,
                best=best,
            )
            state.records.append(record)
            listener.epoch_done(record)
            began, first = time.perf_counter(), state.step
        on_update()
        if ended and not has_time(_epoch_seconds(state, paced_from, steps_per_epoch)):
            break
    listener.phase_ended(phase)
    if restore_best:
        model.set_weights(state.best_weights)


def _epoch_seconds(state: PhaseState, paced_from: tuple[float, int], steps_per_epoch: int) -> float:
    """Return what another epoch takes: as the last, without the first update of all."""
    began, first = paced_from
    paced = state.step - first
    if not 0 < paced < steps_per_epoch:  # the last epoch did not have that update, or nothing else
        return state.records[-1].seconds
    return (time.perf_counter() - began) * steps_per_epoch / paced


def measure(model: keras.Model, batches: Iterable[Batch]) -> dict[str, float]:
    """Return loss and metrics of a compiled model over one pass."""
    sums: dict[str, float] = {}
    rows = mass = 0.0
    for images, labels, weights in batches:
        logs = model.test_on_batch(images, labels, weights, return_dict=True)
        shares = {name: weights.sum() for name in logs} | {"loss": len(weights)}
        for name, value in logs.items():
            sums[name] = sums.get(name, 0.0) + float(value) * float(shares[name])
        rows, mass = rows + len(weights), mass + float(weights.sum())
    return {name: value / (rows if name == "loss" else mass) for name, value in sums.items()}


def _end_epoch(
    model: keras.Model, validation: Iterable[Batch] | None, state: PhaseState, steps: int
) -> tuple[dict[str, float], bool]:
    """Measure, and note in the state whether it is the best so far; return both."""
    metrics = {name: value / steps for name, value in state.sums.items()}
    state.sums = {}
    if validation is None:  # nothing says that an epoch is worse than the one before
        return metrics, True
    metrics |= {f"val_{name}": value for name, value in measure(model, validation).items()}
    best = metrics["val_loss"] < state.best_loss
    if best:
        state.best_loss, state.epochs_since_best = metrics["val_loss"], 0
    else:
        state.epochs_since_best += 1
    return metrics, best


def _has_stopped(state: PhaseState, steps_per_epoch: int, patience: int | None) -> bool:
    at_end_of_epoch = state.step % steps_per_epoch == 0
    return at_end_of_epoch and patience is not None and state.epochs_since_best >= patience


def _diverged(phase: str, loss: float, epoch: int) -> Diverged:
    return Diverged(
        f"the loss of phase {phase!r} became {loss:.4g} in epoch {epoch + 1}. "
        "Take a lower learning rate (of `tl finetune`: --set training.learning_rate=...)"
    )
