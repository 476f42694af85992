"""Settle by trial what a run's config leaves open: devices, batch size, XLA.

Receives the task and how its first phase is updated, gives them as they will be, and leaves the
model to the bit as it was.
"""

import dataclasses
import logging
from collections.abc import Callable

import keras
import numpy as np

from tl.training.fit import compile_classifier
from tl.training.replicas import compare_replicas
from tl.training.task import Task
from tl.training.trials import (
    SMALLEST,
    Settled,
    fastest_size,
    pictures_per_second,
    repeated,
    size_line,
    sizes_to_try,
    xla_line,
)
from tl.training.updates import Batch, Updater

MakeUpdater = Callable[[Task, Settled], Updater]
_log = logging.getLogger(__name__)


def keep_what_agrees(task: Task, batch: Batch) -> Task:
    """Return the task on all of its devices, or, where they do not agree with one, on one.

    Args:
        task: whose classifier has the layers of a phase unfrozen.
        batch: to compare them with.
    """
    device, training = task.device, task.config.training
    if len(device.replicas) < 2:
        return task

    def compile_with(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        compile_classifier(model, optimizer, training.label_smoothing, task.problem, False)

    found = compare_replicas(task.classifier.model, compile_with, device.replicas, batch)
    count = len(device.replicas)
    numbers = (
        f"the loss of one update is {found.losses[0]:.6g} on one and {found.losses[1]:.6g} on "
        f"{count}, and its change of the weights differs by {found.change:.2%}"
    )
    if found.holds(device.precision):
        task.say(f"{count} devices share every batch; {numbers}")
        return task
    _log.warning("%d devices do not agree with one: %s. Training goes on with one", count, numbers)
    return dataclasses.replace(task, device=dataclasses.replace(device, replicas=()))


def settle(task: Task, make_updater: MakeUpdater, batch: Batch) -> Settled:
    """Return batch size and compiler, as asked for or the fastest of those tried.

    Args:
        task: whose classifier has the layers of a phase unfrozen; its batch size may be open.
        make_updater: for a phase of the task.
        batch: of real pictures, which are repeated as often as a size needs.
    """
    training, device = task.config.training, task.device
    model = task.classifier.model
    before = [np.array(keras.ops.convert_to_numpy(one)) for one in model.variables]
    through_xla = _is_xla_asked_for(task)

    def rate_of(settled: Settled) -> float | None:
        update = make_updater(task.with_batch_size(settled.batch_size), settled)
        return pictures_per_second(update.attempt, repeated(batch, settled.batch_size))

    size = training.batch_size
    if size == "auto":
        sizes = sizes_to_try(len(task.training), device.kind)
        rates: dict[int, float | None] = {}
        size = sizes[0]
        if len(sizes) > 1:
            size, rates = fastest_size(lambda one: rate_of(Settled(one, through_xla)), sizes)
        task.say(size_line(size, rates))
    if _is_xla_open(task):
        found = {xla: rate_of(Settled(size, xla)) for xla in (False, True)}
        through_xla = (found[True] or 0.0) > (found[False] or 0.0)
        task.say(xla_line(through_xla, found))
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return Settled(size, through_xla)


def is_open(task: Task) -> bool:
    """Return whether anything has to be tried."""
    return task.config.training.batch_size == "auto" or _is_xla_open(task)


def _is_xla_open(task: Task) -> bool:
    # Replicas are not compiled with it: the strategy would have to be within what is compiled.
    device, is_auto = task.device, task.config.training.xla == "auto"
    is_one = device.kind == "GPU" and len(device.replicas) < 2
    return is_auto and is_one and not device.deterministic and device.backend == "tensorflow"


def as_asked(task: Task) -> Settled:
    """Return what a config says that leaves nothing open on this device."""
    return Settled(task.batch_size, _is_xla_asked_for(task))


def _is_xla_asked_for(task: Task) -> bool:
    return keras.backend.backend() == "jax" or task.config.training.xla == "on"


def size_for_a_look(task: Task) -> int:
    """Return how many pictures the trials look at."""
    size = task.config.training.batch_size
    return SMALLEST if size == "auto" else size
