"""What `test_jax` runs, with KERAS_BACKEND=jax: python killed_on_jax.py DATASET RECIPE."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.classifier import build_classifier
from tl.config_reading import read_config
from tl.data.prepare import prepare_data
from tl.training import tuning
from tl.training.checkpoints import read_checkpoint
from tl.training.devices import prepare_device
from tl.training.progress import Silent
from tl.training.standing import CheckpointWriter
from tl.training.task import Task
from tl.training.tuning import train_classifier
from tl.training.updates import Batch, Updater
from tl.zoo.backbones import find_backbone
from tl.zoo.weights import resolve_weights

OPTIONS = {
    "model.backbone": "tl_small", "model.weights": "tl", "model.image_size": 32,
    "augment.recipe": "light", "augment.feature_views": 0, "training.strategy": "all",
    "training.penalty": 1.0, "training.learning_rate": 3e-3, "training.epochs": 2,
    "training.batch_size": 8,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    # Rates that decay, averages, and batches in parts, which the checkpoint knows of.
    "rates": {"training.layer_decay": 0.7, "training.ema": 0.5},
    "mixed": {"augment.mixup": 0.2, "augment.cutmix": 1.0, "training.label_smoothing": 0.1},
    "last": {"training.strategy": "last", "training.batch_norm": "adapt"},
    "hidden": {"model.hidden": 8, "data.problem": "regression", "data.label_column": "diameter"},
}


class Tight(Updater):
    """Find no memory for a whole batch."""

    def attempt(self, batch: Batch) -> dict[str, float]:
        if self.micro_batches == 1:
            raise MemoryError("RESOURCE_EXHAUSTED: of the test")
        return super().attempt(batch)


class Killed(BaseException):
    pass


class KillInTheSecondEpoch(Silent):
    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        if phase.startswith("fine-tune") and (epoch, step) == (2, 1):
            raise Killed


def task(**changes: Any) -> Task:
    config = read_config(None, (), {"dataset": sys.argv[1], **OPTIONS, **RECIPES[sys.argv[2]]})
    data = prepare_data(sys.argv[1], config.data, seed=0, cache=None)
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    keras.utils.set_random_seed(0)
    row = find_backbone("tl_small")
    facts: dict[str, Any] = {
        "classifier": build_classifier(
            row, n_classes=len(data.class_names) or 1, image_size=(32, 32),
            weights=resolve_weights(row, "tl"), dropout=0.2, problem=data.problem,
            hidden=config.model.hidden,
        ),
        "training": data.side("train"),
        "validation": data.side("val"),
        "augmentation": Augmentation("light", (32, 32), fit_colour_pca([noise])),
        "config": config,
        "listener": Silent(),
        "on_best": lambda best: None,
        "device": prepare_device(config.training),
        "problem": data.problem,
    }  # fmt: skip
    return Task(**facts | changes)


def main() -> None:
    assert keras.backend.backend() == "jax"
    if sys.argv[2] == "rates":
        vars(tuning)["Updater"] = Tight
    whole = task()
    before = whole.classifier.model.get_weights()
    records = train_classifier(whole).records
    with tempfile.TemporaryDirectory() as folder:
        writer = CheckpointWriter(Path(folder), 0.0)
        try:
            train_classifier(task(checkpoints=writer, listener=KillInTheSecondEpoch()))
            raise AssertionError("was to be killed")
        except Killed:
            stored = read_checkpoint(Path(folder))
    assert stored is not None
    resumed = task()
    found = train_classifier(resumed, stored).records
    assert [(one.step, one.metrics) for one in found] == [
        (one.step, one.metrics) for one in records
    ]
    pairs = zip(
        before, whole.classifier.model.get_weights(), resumed.classifier.model.get_weights(),
        strict=True,
    )  # fmt: skip
    moved = False
    for old, one, other in pairs:
        assert np.array_equal(one, other)
        moved |= not np.array_equal(old, one)
    assert moved
    sys.stdout.write(f"resumed in {stored.facts['micro_batches']} parts, to the bit\n")


if __name__ == "__main__":
    main()
