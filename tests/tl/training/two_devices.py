"""What `test_replicas` runs: python two_devices.py CASE PICTURES, on a CPU divided in two."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
}

import keras
import numpy as np
import tensorflow as tf

from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.classifier import Classifier, build_classifier
from tl.config import TrainingConfig
from tl.config_reading import read_config
from tl.data.prepare import prepare_data
from tl.training import settle
from tl.training.checkpoints import read_checkpoint
from tl.training.devices import prepare_device
from tl.training.fit import compile_classifier
from tl.training.optimizer import build_optimizer
from tl.training.progress import EpochRecord, Silent
from tl.training.replicas import ReplicaUpdater, compare_replicas
from tl.training.standing import CheckpointWriter
from tl.training.task import Task
from tl.training.tuning import layer_factors, train_classifier
from tl.training.updates import Updater
from tl.zoo.backbones import find_backbone
from tl.zoo.weights import resolve_weights

DEVICES = ("/device:CPU:0", "/device:CPU:1")
RNG = np.random.default_rng(0)
BATCH = (
    RNG.integers(0, 256, (7, 32, 32, 3)).astype(np.uint8),
    RNG.integers(0, 3, 7).astype(np.int32),
    np.array([1, 1, 0, 2, 0.5, 0, 1], np.float32),
)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def classifier(dropout: float = 0.0) -> Classifier:
    keras.utils.set_random_seed(0)
    row = find_backbone("tl_small")
    built = build_classifier(
        row, n_classes=3, image_size=(32, 32), weights=resolve_weights(row, "tl"), dropout=dropout
    )
    kernel = built.head.get_layer("logits").kernel
    kernel.assign(RNG.normal(0, 0.1, kernel.shape))  # or no gradient would reach the backbone
    for layer in built.backbone.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return built


def compiler(built: Classifier) -> Callable[[keras.Model, int], None]:
    def compile_for(model: keras.Model, parts: int) -> None:
        optimizer = build_optimizer(
            learning_rate=1e-3, total_steps=20, warmup_steps=2, weight_decay=0.1,
            factor_of=layer_factors(built, 0.5), ema_momentum=0.5, micro_batches=parts,
        )  # fmt: skip
        # Of Adam's steps the small ones would show nothing but rounding.
        getattr(optimizer, "inner_optimizer", optimizer).epsilon = 1e-3
        compile_classifier(model, optimizer, 0.1)

    return compile_for


def both() -> tuple[Updater, ReplicaUpdater]:
    one, other = classifier(), None
    other = classifier()
    copy = ReplicaUpdater(other.model, compiler(other), DEVICES)
    copy.model.set_weights(one.model.get_weights())
    return Updater(one.model, lambda parts: compiler(one)(one.model, parts)), copy


def assert_alike(one: Updater, copy: ReplicaUpdater) -> None:
    pairs = list(zip(one.model.variables, copy.model.variables, strict=True))
    pairs += zip(one.model.optimizer.variables, copy.model.optimizer.variables, strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(
            np.asarray(a), np.asarray(b), rtol=1e-3, atol=2e-5, err_msg=a.path
        )


def updates() -> None:
    one, copy = both()
    before = one.model.get_weights()
    for _ in range(5):
        first, second = one(BATCH), copy(BATCH)
        np.testing.assert_allclose(
            [first["loss"], first["accuracy"]], [second["loss"], second["accuracy"]], rtol=1e-4
        )
    assert_alike(one, copy)
    moved = [np.abs(a - b).max() for a, b in zip(before, one.model.get_weights(), strict=True)]
    assert max(moved) > 1e-3, max(moved)
    say("agreed: 5 updates, moments and averages too")


def memory() -> None:
    one, copy = both()
    real, failed = copy._step, []

    def too_large(values: Any) -> Any:
        failed.append(True)
        raise MemoryError("RESOURCE_EXHAUSTED: of the test")

    one(BATCH), copy(BATCH)
    copy._step = too_large
    for _ in range(3):
        one(BATCH), copy(BATCH)
    assert failed == [True]
    assert copy._step is not real
    assert_alike(one, copy)
    say(f"halved to {copy.micro_batches} parts each, and agreed")


class Sum(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy that nobody divides by the number of devices."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        losses = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return keras.ops.mean(losses * sample_weight)


def compare() -> None:
    built = classifier(dropout=0.5)
    model = built.model
    before = [np.asarray(one) for one in model.variables]
    norms = [one.trainable for one in model._flatten_layers()]

    sound = compare_replicas(
        model, lambda one, optimizer: compile_classifier(one, optimizer, 0.1), DEVICES, BATCH
    )
    broken = compare_replicas(
        model, lambda one, optimizer: one.compile(optimizer=optimizer, loss=Sum()), DEVICES, BATCH
    )

    assert sound.holds("float32"), sound
    assert sound.change < 1e-3, sound
    assert not broken.holds("float32"), broken
    assert not broken.holds("mixed_bfloat16"), broken
    assert broken.change > 0.5, broken
    for a, b in zip(before, model.variables, strict=True):
        assert np.array_equal(a, np.asarray(b))
    assert model.get_layer("head_dropout").rate == 0.5
    assert norms == [one.trainable for one in model._flatten_layers()]
    say("sound holds, sum is noticed, model as it was")


def task(replicas: int, **changes: Any) -> Task:
    pictures = sys.argv[2]
    options = {
        "model.backbone": "tl_small", "model.weights": "tl", "model.image_size": 32,
        "model.dropout": 0.0, "augment.recipe": "light", "augment.feature_views": 0,
        "training.strategy": "all", "training.penalty": 1.0, "training.learning_rate": 1e-3,
        "training.epochs": 2, "training.batch_size": 8, "training.layer_decay": 0.7,
        "training.ema": 0.5, "training.replicas": replicas,
    }  # fmt: skip
    config = read_config(None, (), {"dataset": pictures, **options})
    data = prepare_data(pictures, config.data, seed=0, cache=None)
    noise = RNG.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    facts: dict[str, Any] = {
        "classifier": classifier(config.model.dropout),
        "training": data.side("train"),
        "validation": data.side("val"),
        "augmentation": Augmentation("light", (32, 32), fit_colour_pca([noise])),
        "config": config,
        "listener": Silent(),
        "on_best": lambda best: None,
        "device": prepare_device(config.training),
        "say": say,
    }
    return Task(**facts | changes)


def run() -> None:
    logging.basicConfig(stream=sys.stdout)
    ends: dict[int, tuple[list[EpochRecord], list[Any]]] = {}
    for replicas in (1, 2):
        made = task(replicas)
        assert len(made.device.replicas) == (2 if replicas == 2 else 0)
        records = train_classifier(made).records
        ends[replicas] = records, made.classifier.model.get_weights()
    for a, b in zip(ends[1][0], ends[2][0], strict=True):
        assert (a.phase, a.epoch, a.best) == (b.phase, b.epoch, b.best)
        for name, value in a.metrics.items():
            np.testing.assert_allclose(b.metrics[name], value, rtol=2e-3, atol=1e-4)
    say("same records")
    vars(settle)["compile_classifier"] = broken_compile
    made = task(2)
    train_classifier(made)
    for a, b in zip(ends[1][1], made.classifier.model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    say("alone to the bit")


def broken_compile(model: keras.Model, optimizer: Any, *_: Any) -> None:
    model.compile(optimizer=optimizer, loss=Sum())


class Killed(BaseException):
    pass


class KillInTheSecondEpoch(Silent):
    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        if phase.startswith("fine-tune") and (epoch, step) == (2, 2):
            raise Killed


def resume() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = task(2)
        train_classifier(whole)
        keeps = CheckpointWriter(Path(folder) / "kept", 0.0)
        killed = task(2, checkpoints=keeps, listener=KillInTheSecondEpoch())
        try:
            train_classifier(killed)
            raise AssertionError("was to be killed")
        except Killed:
            pass
        again = task(2)
        train_classifier(again, read_checkpoint(Path(folder) / "kept"))
        pairs = zip(whole.classifier.model.weights, again.classifier.model.weights, strict=True)
        for a, b in pairs:
            assert np.array_equal(np.asarray(a), np.asarray(b)), a.path
        say("resumed to the bit")


if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    assert len(prepare_device(TrainingConfig(replicas=2)).replicas) == 2
    {"updates": updates, "memory": memory, "compare": compare, "run": run, "resume": resume}[
        sys.argv[1]
    ]()
