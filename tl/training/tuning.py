"""Execute the phases of a strategy on a classifier. The only place that touches `trainable`."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import grain
import keras
import numpy as np

from tl.augment.recipes import Augmentation
from tl.classifier import Classifier
from tl.config import RunConfig
from tl.data.batches import evaluation_batches, training_batches
from tl.data.example import Example
from tl.features import extract_features
from tl.heads import standardise
from tl.strategy import Phase, Scope
from tl.training.fit import compile_classifier, run_phase
from tl.training.optimizer import build_optimizer
from tl.training.progress import EpochRecord, Listener

FEATURE_BATCH = 64


def train_classifier(
    classifier: Classifier,
    phases: Sequence[Phase],
    *,
    training: Sequence[Example],
    validation: Sequence[Example],
    augmentation: Augmentation,
    config: RunConfig,
    listener: Listener,
    on_best: Callable[[], None],
) -> list[EpochRecord]:
    """Train in place; the model ends with the best weights on validation.

    A fine-tuning phase that does not beat the head it started from is undone.

    Args:
        classifier: with pretrained backbone and fresh head.
        phases: in order, the head first.
        training: pictures to learn from.
        validation: pictures that choose the best epoch; empty takes the last epoch.
        augmentation: for the training pictures.
        config: rates, sizes and seed.
        listener: told of progress.
        on_best: called when ``classifier.model`` is the best so far, to store it.
    """
    records: list[EpochRecord] = []
    for phase in phases:
        step = records[-1].step if records else 0
        if phase.scope == "head":
            records += _train_head(
                classifier, phase, training, validation, augmentation, config, listener, on_best
            )
            continue
        before = classifier.model.get_weights()
        loss_before = min((one.metrics.get("val_loss", math.inf) for one in records if one.best),
                          default=math.inf)  # fmt: skip
        tuned = _fine_tune(
            classifier, phase, training, validation, augmentation, config, listener, on_best,
            step, loss_before,
        )  # fmt: skip
        records += tuned
        if validation and not any(one.best for one in tuned):
            classifier.model.set_weights(before)
    return records


def _train_head(
    classifier: Classifier,
    phase: Phase,
    training: Sequence[Example],
    validation: Sequence[Example],
    augmentation: Augmentation,
    config: RunConfig,
    listener: Listener,
    on_best: Callable[[], None],
) -> list[EpochRecord]:
    """Train the head on cached features of plain and augmented views."""
    batch_size = config.training.batch_size
    size = classifier.image_size
    views = config.augment.feature_views
    count = len(training)
    listener.phase_started("features", 1, _batches(count * (1 + views) + len(validation)))
    done = 0

    def on_batch(images: int) -> None:
        nonlocal done
        done += 1
        listener.step_done("features", 1, done, images)

    plain = extract_features(
        classifier.backbone,
        evaluation_batches(training, size, batch_size=FEATURE_BATCH),
        n_pictures=count,
        on_batch=on_batch,
    )
    parts = [plain]
    if views:
        parts.append(
            extract_features(
                classifier.backbone,
                training_batches(
                    training, augmentation, batch_size=FEATURE_BATCH, seed=config.seed
                ),
                n_pictures=count * views,
                on_batch=on_batch,
            )
        )
    features, labels, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    standardise(classifier.head, features)
    held_out = None
    if validation:
        held_out = extract_features(
            classifier.backbone,
            evaluation_batches(validation, size, batch_size=FEATURE_BATCH),
            n_pictures=len(validation),
            on_batch=on_batch,
        )
    # An epoch of the head is one pass over as many vectors as there are pictures.
    steps = max(1, round(count / batch_size))
    _set_trainable(classifier, "head")
    _compile(classifier.head, phase, steps, config)
    vectors = _VectorBatches((features, labels, weights), batch_size, config.seed)
    return run_phase(
        classifier.head,
        grain.MapDataset.source(vectors).repeat().to_iter_dataset(grain.ReadOptions(num_threads=0)),
        held_out,
        phase=phase.name,
        epochs=phase.epochs,
        steps_per_epoch=steps,
        batch_size=batch_size,
        listener=listener,
        patience=2 * config.training.patience,
        on_best=on_best,
    )


class _VectorBatches:
    """Shuffled batches of cached features by index, cut from the arrays at once.

    Item n is batch n of one long shuffled pass; grain repeats it.
    """

    PASSES = 100  # a new order each, until grain begins anew

    def __init__(self, arrays: tuple[Any, ...], batch_size: int, seed: int) -> None:
        self._arrays = arrays
        self._batch_size = min(batch_size, len(arrays[0]))
        self._seed = seed
        self._order: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return self.PASSES * self._batches_a_pass

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        passed, batch = divmod(index, self._batches_a_pass)
        if self._order[0] != passed:
            rng = np.random.default_rng((self._seed, passed))
            self._order = (passed, rng.permutation(len(self._arrays[0])))
        chosen = self._order[1][batch * self._batch_size : (batch + 1) * self._batch_size]
        return tuple(array[chosen] for array in self._arrays)

    @property
    def _batches_a_pass(self) -> int:
        return len(self._arrays[0]) // self._batch_size


def _fine_tune(
    classifier: Classifier,
    phase: Phase,
    training: Sequence[Example],
    validation: Sequence[Example],
    augmentation: Augmentation,
    config: RunConfig,
    listener: Listener,
    on_best: Callable[[], None],
    first_step: int,
    loss_to_beat: float,
) -> list[EpochRecord]:
    """Train part of the backbone and the head on augmented pictures."""
    batch_size = config.training.batch_size
    steps = max(1, round(len(training) / batch_size))
    _set_trainable(classifier, phase.scope)
    _compile(classifier.model, phase, steps, config)
    held_out = None
    if validation:
        held_out = evaluation_batches(validation, classifier.image_size, batch_size=FEATURE_BATCH)
    return run_phase(
        classifier.model,
        training_batches(training, augmentation, batch_size=batch_size, seed=config.seed + 1),
        held_out,
        phase=phase.name,
        epochs=phase.epochs,
        steps_per_epoch=steps,
        batch_size=batch_size,
        listener=listener,
        first_step=first_step,
        patience=config.training.patience,
        loss_to_beat=loss_to_beat,
        on_best=on_best,
    )


def _compile(model: keras.Model, phase: Phase, steps_per_epoch: int, config: RunConfig) -> None:
    training = config.training
    total = steps_per_epoch * phase.epochs
    optimizer = build_optimizer(
        learning_rate=phase.learning_rate,
        total_steps=total,
        warmup_steps=round(training.warmup_fraction * total),
        weight_decay=training.weight_decay,
        clip_norm=1.0 if phase.scope != "head" else None,
    )
    compile_classifier(model, optimizer, training.label_smoothing)


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


def _batches(pictures: int) -> int:
    return -(-pictures // FEATURE_BATCH)
