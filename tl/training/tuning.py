"""Execute the phases of a strategy on a classifier. The only place that touches `trainable`."""

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tl.classifier import Classifier
from tl.data.batches import evaluation_batches, training_batches
from tl.features import BATCH
from tl.strategy import PAYS, Phase, has_paid
from tl.training.checkpoints import Checkpoint
from tl.training.fit import Diverged, PhaseState, compile_classifier, run_phase
from tl.training.head import lowest_loss
from tl.training.mixed_batches import mixed_batches
from tl.training.opening import begin_with_heads
from tl.training.optimizer import build_optimizer
from tl.training.progress import EpochRecord, kept_epoch
from tl.training.replicas import ReplicaUpdater, copy_variables
from tl.training.settle import as_asked, is_open, keep_what_agrees, settle, size_for_a_look
from tl.training.standing import Standing, restore_variables, standing_of
from tl.training.task import Task
from tl.training.trials import Settled
from tl.training.updates import Updater
from tl.words import counted

SLOWER = 0.1
"""Factor of the learning rate after a phase diverged."""
SLOWER_SUFFIX = " slower"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What came of a training.

    Attributes:
        classifier: with the best weights on validation.
        records: of every epoch.
    """

    classifier: Classifier
    records: list[EpochRecord]


def train_classifier(task: Task, resumed: Checkpoint | None = None) -> Trained:
    """Solve the head and fine-tune, as the config's strategy says.

    A fine-tuning phase that does not beat what it started from is undone.

    Args:
        task: the classifier and its pictures; the backbone is trained in place.
        resumed: of a run that was killed; it goes on from there, with the phases it had.

    Raises:
        TrainingError: the checkpoint belongs to another network.
    """
    if resumed is not None:
        standing = standing_of(resumed)
        # What is compiled may depend on them: the unit of values.
        task.classifier.model.set_weights(standing.state.best_weights)
    else:
        task, records, phases = begin_with_heads(task)
        standing = Standing(phases=phases, records=records, state=_begin(task, records))
    if standing.phases:
        task = _settled(task, standing)
    for index in range(standing.phase, len(standing.phases)):
        if index != standing.phase:
            if not _has_room(task, standing, index):
                break
            if standing.phases[index].if_paid and not _paid(task, standing, index - 1):
                continue
            standing.phase, standing.attempt = index, 0
            standing.state = _begin(task, standing.records)
        _run(task, standing, resumed)
        resumed = None
    return Trained(task.classifier, standing.records)


def _has_room(task: Task, standing: Standing, index: int) -> bool:
    """Tell whether a time budget has room for a phase, and say where it has not.

    An epoch of it takes no less time than one of the phase before.
    """
    left, name = task.seconds_left(), standing.phases[index].name
    if left is None or not standing.records or left > standing.records[-1].seconds:
        return True
    task.say(f"the time budget has no room for {name}")
    return False


def _paid(task: Task, standing: Standing, index: int) -> bool:
    """Tell whether a phase that has ended speaks for more of its kind; say so where it does not."""
    name = standing.phases[index].name
    places = [
        place
        for place, record in enumerate(standing.records)
        if record.phase in (name, f"{name}{SLOWER_SUFFIX}")
    ]
    before = lowest_loss(standing.records[: min(places, default=0)])
    after = lowest_loss([standing.records[place] for place in places])
    if has_paid(before, after):
        return True
    came = f"came to a validation loss of {after:.4f}" if math.isfinite(after) else "diverged"
    task.say(
        f"{name} began at {before:.4f} and {came}: more of it would not pay (it has to take "
        f"{PAYS:.0%} off)"
    )
    return False


def _settled(task: Task, standing: Standing) -> Task:
    """Return the task with devices and batch size settled, as before it was killed or by trial."""
    phase = standing.phases[standing.phase]
    if len(task.device.replicas) > 1 or (standing.settled is None and is_open(task)):
        is_adapted = task.config.training.batch_norm == "adapt"
        set_trainable(task.classifier, phase, adapt_norms=is_adapted)
        look = task.with_batch_size(size_for_a_look(task))
        batch = next(iter(_batches(look, 0)))
        task = keep_what_agrees(task, batch)
        if standing.settled is None:
            standing.settled = settle(task, lambda one, how: _updater(one, phase, how), batch)
    standing.settled = standing.settled or as_asked(task)
    return task.with_batch_size(standing.settled.batch_size)


def _begin(task: Task, records: Sequence[EpochRecord]) -> PhaseState:
    """Return the state before the first update: what the model has now is what is to be beaten."""
    kept = kept_epoch(records)
    loss = math.inf if kept is None else kept.metrics.get("val_loss", math.inf)
    return PhaseState(best_loss=loss, best_weights=task.classifier.model.get_weights())


def _run(task: Task, standing: Standing, resumed: Checkpoint | None) -> None:
    """Run one phase; if it diverges, once more from its best weights at a lower rate."""
    try:
        _fine_tune(task, standing, resumed)
    except Diverged as error:
        state = standing.state
        task.classifier.model.set_weights(state.best_weights)
        standing.records += state.records
        if standing.attempt == 1:
            _log.warning("%s It is ended with the best weights so far", error)
            return
        _log.warning("%s It begins again, at a tenth of the rate", str(error).split(". ")[0] + ".")
        standing.attempt = 1
        standing.state = dataclasses.replace(
            state, step=0, sums={}, epochs_since_best=0, records=[]
        )
        _run(task, standing, None)
    else:
        standing.records += standing.state.records


def _fine_tune(task: Task, standing: Standing, resumed: Checkpoint | None) -> None:
    """Train part of the backbone and the head on augmented pictures."""
    config, classifier, state = task.config.training, task.classifier, standing.state
    phase = standing.phases[standing.phase]
    if standing.attempt:
        rate = SLOWER * phase.learning_rate
        name = f"{phase.name}{SLOWER_SUFFIX}"
        phase = dataclasses.replace(phase, name=name, learning_rate=rate)
    set_trainable(classifier, phase, adapt_norms=config.batch_norm == "adapt")
    assert standing.settled is not None
    update = _updater(task, phase, standing.settled, standing.micro_batches)
    model = update.model
    if resumed is not None:
        restore_variables(model, resumed)
    held_out = None
    if task.validation:
        held_out = evaluation_batches(task.validation, classifier.image_size, batch_size=BATCH)
    writer = task.checkpoints

    def keep(*, now: bool = False) -> None:
        if writer is not None:
            standing.micro_batches = update.micro_batches
            writer.keep(standing, model, now=now)

    def store_best() -> None:
        _bring_back(model, classifier)
        task.on_best(classifier)

    if resumed is None:
        keep(now=True)
    run_phase(
        model,
        update,
        _batches(task, state.step),
        held_out,
        state=state,
        phase=phase.name,
        epochs=phase.epochs,
        steps_per_epoch=task.steps_per_epoch,
        batch_size=task.batch_size,
        listener=task.listener,
        first_step=standing.records[-1].step if standing.records else 0,
        patience=config.patience,
        on_best=store_best,
        on_update=keep,
        has_time=lambda seconds: _has_time(task, standing, seconds),
    )
    _bring_back(model, classifier)


def _has_time(task: Task, standing: Standing, seconds: float) -> bool:
    """Tell whether a time budget has room for another epoch, and say where it has not."""
    left, phase = task.seconds_left(), standing.phases[standing.phase]
    if left is None or left > seconds:
        return True
    done = len(standing.state.records)
    if done < phase.epochs:
        task.say(
            f"the time budget ends {phase.name} after {counted(done, 'epoch')} of {phase.epochs}: "
            f"another takes about {seconds:.1f} s"
        )
    return False


def _bring_back(model: keras.Model, classifier: Classifier) -> None:
    """Give a classifier the weights of the copy of it that is trained on several devices."""
    if model is not classifier.model:
        copy_variables(model, classifier.model)


def _updater(task: Task, phase: Phase, settled: Settled, micro_batches: int = 1) -> Updater:
    """Return what updates the classifier in a phase, on one device or on several."""
    compile_for = _compiler(task, phase, settled.xla)
    model, devices = task.classifier.model, task.device.replicas
    if len(devices) > 1:
        return ReplicaUpdater(model, compile_for, devices, micro_batches=micro_batches)
    return Updater(model, functools.partial(compile_for, model), micro_batches)


def _compiler(task: Task, phase: Phase, xla: bool) -> Callable[[keras.Model, int], None]:
    """Return what compiles a model for a phase, for batches in so many parts."""
    training, classifier = task.config.training, task.classifier
    total = task.steps_per_epoch * phase.epochs
    factor_of = layer_factors(classifier, training.layer_decay)

    def compile_for(model: keras.Model, micro_batches: int) -> None:
        # By place: Keras gives layers without a name of their own another one in a copy.
        factors = {
            one.path: factor_of(original)
            for one, original in zip(
                model.trainable_variables, classifier.model.trainable_variables, strict=True
            )
        }
        optimizer = build_optimizer(
            learning_rate=phase.learning_rate,
            total_steps=total,
            warmup_steps=round(training.warmup_fraction * total),
            weight_decay=training.weight_decay,
            factor_of=lambda variable: factors[variable.path],
            ema_momentum=training.ema,
            micro_batches=micro_batches,
        )
        compile_classifier(model, optimizer, training.label_smoothing, task.problem, xla)

    return compile_for


def layer_factors(classifier: Classifier, decay: float) -> Callable[[Any], float]:
    """Return the factor of a variable's rate: 1 in head and last stage, less towards the pixels.

    Args:
        classifier: whose variables are asked for.
        decay: factor from each stage to the one before.

    Source: Howard and Ruder 2018, section 3.2 (discriminative fine-tuning).
    """
    factors: dict[str, float] = {}
    for distance, stage in enumerate(reversed(classifier.stages)):
        for name in stage.layer_names:
            layer = classifier.backbone.get_layer(name)
            factors |= {variable.path: decay**distance for variable in layer.variables}
    return lambda variable: factors.get(variable.path, 1.0)


def _batches(task: Task, first_step: int) -> Any:
    """Return augmented training batches, mixed where the config says so."""
    config = task.config
    batches = training_batches(
        task.training,
        task.augmentation,
        batch_size=task.batch_size,
        seed=config.seed + 1,
        first_step=first_step,
        feed=task.feed,
    )
    if not (config.augment.mixup or config.augment.cutmix):
        return batches
    return mixed_batches(
        batches,
        n_classes=task.classifier.model.output_shape[-1],
        mixup_alpha=config.augment.mixup,
        cutmix_alpha=config.augment.cutmix,
        seed=config.seed + 1,
        first_step=first_step,
    )


def set_trainable(classifier: Classifier, phase: Phase, adapt_norms: bool) -> None:
    """Unfreeze the layers of a phase.

    Args:
        classifier: changed in place.
        phase: says which stages.
        adapt_norms: let the BatchNorm layers among them follow the pictures; otherwise they run in
            inference mode, as pretrained (Keras guide).
    """
    stages = classifier.stages[-(phase.n_stages or len(classifier.stages)) :]
    tuned = {name for stage in stages for name in stage.layer_names}
    for layer in classifier.backbone.layers:
        _unfreeze(layer, layer.name in tuned, adapt_norms)


def _unfreeze(layer: Any, trainable: bool, adapt_norms: bool) -> None:
    if isinstance(layer, keras.Model):  # ConvNeXt nests its stem
        layer.trainable = True
        for inner in layer.layers:
            _unfreeze(inner, trainable, adapt_norms)
    else:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = trainable and (adapt_norms or not is_norm)
