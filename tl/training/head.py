"""The head phase: features of the frozen backbone once, then a linear head on them in seconds."""

from typing import Any

import grain
import numpy as np

from tl.augment.flip_harm import flip_harm, probe_predictions
from tl.data.batches import evaluation_batches, training_batches
from tl.features import extract_features
from tl.heads import standardise
from tl.strategy import Phase
from tl.training.fit import run_phase
from tl.training.progress import EpochRecord
from tl.training.task import Task
from tl.transforms import mirrors

FEATURE_BATCH = 64
MIRRORED_PICTURES = 500  # enough to see 5 % of harm, and never a long pass
Table = tuple[Any, Any, Any]


def train_head(task: Task, phase: Phase) -> list[EpochRecord]:
    """Train the head on cached features of the plain and the augmented views."""
    features, held_out, mirrored = _extract(task)
    if held_out is not None and mirrored is not None:
        _report_flip_harm(task, features, held_out, mirrored)
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
        patience=task.config.training.patience,
        on_best=task.on_best,
    )


def _extract(task: Task) -> tuple[Table, Table | None, Table | None]:
    """Return (features, labels, weights) of the training views, validation, and it mirrored.

    The first rows of the training views are the plain pictures.
    """
    views, size = task.config.augment.feature_views, task.classifier.image_size
    passes = [
        (evaluation_batches(task.training, size, batch_size=FEATURE_BATCH), len(task.training))
    ]
    if views:
        augmented = training_batches(
            task.training,
            task.augmentation,
            batch_size=FEATURE_BATCH,
            seed=task.config.seed,
            feed=task.feed,
        )
        passes.append((augmented, views * len(task.training)))
    if task.validation:
        plain = evaluation_batches(task.validation, size, batch_size=FEATURE_BATCH)
        passes.append((plain, len(task.validation)))
    mirrored = task.validation and mirrors(task.augmentation.transforms())
    if mirrored:
        some = [task.validation[place] for place in _compared(task)]
        flipped = evaluation_batches(some, size, batch_size=FEATURE_BATCH).map(_mirror)
        passes.append((flipped, len(some)))
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
    flipped_table = tables.pop() if mirrored else None
    held_out = tables.pop() if task.validation else None
    features, labels, weights = (np.concatenate(column) for column in zip(*tables, strict=True))
    return (features, labels, weights), held_out, flipped_table


def _compared(task: Task) -> list[int]:
    """Return the places of the validation pictures that are looked at mirrored, all classes."""
    count = len(task.validation)
    return [int(place) for place in np.arange(0, count, max(1, -(-count // MIRRORED_PICTURES)))]


def _mirror(batch: Any) -> Any:
    images, labels, weights = batch
    return np.ascontiguousarray(images[:, :, ::-1]), labels, weights


def _report_flip_harm(task: Task, training: Table, held_out: Table, mirrored: Table) -> None:
    """Measure on a probe of its own: the head learns from mirrored views too."""
    plain = len(task.training)
    places = _compared(task)
    harm = flip_harm(
        *probe_predictions(
            training[0][:plain], training[1][:plain], held_out[0][places], mirrored[0]
        ),
        labels=mirrored[1],
    )
    if harm is not None:
        task.on_flip_harm(harm)


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
