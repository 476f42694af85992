"""The head phase: features of the frozen backbone once, then a linear head on them in seconds."""

from typing import Any

import grain
import numpy as np

from tl.data.batches import evaluation_batches, training_batches
from tl.features import extract_features
from tl.heads import standardise
from tl.strategy import Phase
from tl.training.fit import run_phase
from tl.training.progress import EpochRecord
from tl.training.task import Task

FEATURE_BATCH = 64
Table = tuple[Any, Any, Any]


def train_head(task: Task, phase: Phase) -> list[EpochRecord]:
    """Train the head on cached features of the plain and the augmented views."""
    features, held_out = _extract(task)
    standardise(task.classifier.head, features[0])
    task.compile(task.classifier.head, phase)
    batch_size = task.config.training.batch_size
    batches = grain.MapDataset.source(_VectorBatches(features, batch_size, task.config.seed))
    return run_phase(
        task.classifier.head,
        batches.repeat().to_iter_dataset(grain.ReadOptions(num_threads=0)),
        held_out,
        phase=phase.name,
        epochs=phase.epochs,
        # An epoch is as many vectors as there are pictures, not all of their views.
        steps_per_epoch=task.steps_per_epoch,
        batch_size=batch_size,
        listener=task.listener,
        patience=2 * task.config.training.patience,
        on_best=task.on_best,
    )


def _extract(task: Task) -> tuple[Table, Table | None]:
    """Return (features, labels, weights) of the training views and of validation."""
    views, size = task.config.augment.feature_views, task.classifier.image_size
    passes = [
        (evaluation_batches(task.training, size, batch_size=FEATURE_BATCH), len(task.training))
    ]
    if views:
        augmented = training_batches(
            task.training, task.augmentation, batch_size=FEATURE_BATCH, seed=task.config.seed
        )
        passes.append((augmented, views * len(task.training)))
    if task.validation:
        plain = evaluation_batches(task.validation, size, batch_size=FEATURE_BATCH)
        passes.append((plain, len(task.validation)))
    task.listener.phase_started("features", 1, sum(-(-n // FEATURE_BATCH) for _, n in passes))
    done = 0

    def on_batch(images: int) -> None:
        nonlocal done
        done += 1
        task.listener.step_done("features", 1, done, images)

    tables = [
        extract_features(task.classifier.backbone, batches, n_pictures=n, on_batch=on_batch)
        for batches, n in passes
    ]
    held_out = tables.pop() if task.validation else None
    features, labels, weights = (np.concatenate(column) for column in zip(*tables, strict=True))
    return (features, labels, weights), held_out


class _VectorBatches:
    """Shuffled batches of cached features by index, cut from the arrays at once.

    Item n is batch n of one long shuffled pass; grain repeats it.
    """

    PASSES = 100  # a new order each, until grain begins anew

    def __init__(self, arrays: Table, batch_size: int, seed: int) -> None:
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
