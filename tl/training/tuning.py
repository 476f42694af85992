"""Execute the phases of a strategy on a classifier. The only place that touches `trainable`."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from tl.classifier import Classifier
from tl.data.batches import evaluation_batches, training_batches
from tl.strategy import Phase, Scope
from tl.training.fit import run_phase
from tl.training.head import FEATURE_BATCH, train_head
from tl.training.mixed_batches import mixed_batches
from tl.training.progress import EpochRecord
from tl.training.task import Task


def train_classifier(task: Task, phases: Sequence[Phase]) -> list[EpochRecord]:
    """Train in place; the model ends with the best weights on validation.

    A fine-tuning phase that does not beat what it started from is undone.

    Args:
        task: the classifier and its pictures.
        phases: what comes after the head, in order.
    """
    records = train_head(task)
    for phase in phases:
        _set_trainable(task.classifier, phase.scope)
        before = task.classifier.model.get_weights()
        tuned = _fine_tune(task, phase, records)
        records += tuned
        if task.validation and not any(one.best for one in tuned):
            task.classifier.model.set_weights(before)
    return records


def _fine_tune(task: Task, phase: Phase, earlier: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Train part of the backbone and the head on augmented pictures."""
    config, classifier = task.config, task.classifier
    batch_size = config.training.batch_size
    task.compile(classifier.model, phase)
    held_out = None
    if task.validation:
        held_out = evaluation_batches(
            task.validation, classifier.image_size, batch_size=FEATURE_BATCH
        )
    losses = [one.metrics.get("val_loss", math.inf) for one in earlier if one.best]
    return run_phase(
        classifier.model,
        _batches(task),
        held_out,
        phase=phase.name,
        epochs=phase.epochs,
        steps_per_epoch=task.steps_per_epoch,
        batch_size=batch_size,
        listener=task.listener,
        first_step=earlier[-1].step if earlier else 0,
        patience=config.training.patience,
        loss_to_beat=min(losses, default=math.inf),
        on_best=task.on_best,
    )


def _batches(task: Task) -> Any:
    """Return augmented training batches, mixed where the config says so."""
    config = task.config
    batches = training_batches(
        task.training,
        task.augmentation,
        batch_size=config.training.batch_size,
        seed=config.seed + 1,
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
    )


def _set_trainable(classifier: Classifier, scope: Scope) -> None:
    """Unfreeze the layers of a scope. Frozen BatchNorm runs in inference mode (Keras guide)."""
    last_stage = set(classifier.stages[-1].layer_names)
    for layer in classifier.backbone.layers:
        in_scope = scope == "all" or (scope == "last" and layer.name in last_stage)
        _unfreeze(layer, in_scope)


def _unfreeze(layer: Any, trainable: bool) -> None:
    if isinstance(layer, keras.Model):  # ConvNeXt nests its stem
        layer.trainable = True
        for inner in layer.layers:
            _unfreeze(inner, trainable)
    else:
        layer.trainable = trainable and not isinstance(layer, keras.layers.BatchNormalization)
