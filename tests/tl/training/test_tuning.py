"""What trains, what stays, and which weights a run ends with."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tl.errors import TrainingError
from tl.heads import NORM
from tl.training.progress import EpochRecord
from tl.training.task import Task
from tl.training.tuning import train_classifier

Setup = Callable[..., dict[str, Any]]


def by_layer(model: keras.Model) -> dict[str, list[Any]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def changed(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> set[str]:
    return {
        name
        for name, weights in before.items()
        if any(not np.array_equal(a, b) for a, b in zip(weights, after[name], strict=True))
    }


def norms(model: keras.Model) -> set[str]:
    return {
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name != NORM
    }


def untouched(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.layers if layer.weights} - {NORM, "logits"}


def _train(setup: dict[str, Any]) -> list[EpochRecord]:
    phases = setup["phases"]
    return train_classifier(Task(**{k: v for k, v in setup.items() if k != "phases"}), phases)


def test_features_trains_the_head_only(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "features"})
    model = setup["classifier"].model
    before = by_layer(model)

    records = _train(setup)

    assert changed(before, by_layer(model)) == {NORM, "logits"}
    assert {record.phase for record in records} == {"head"}


def test_last_trains_the_last_stage_and_the_head_without_norms(training_setup: Setup) -> None:
    # A head that is hardly allowed to learn leaves fine-tuning something to be better than.
    setup = training_setup(**{"training.strategy": "last", "training.penalty": 1e3})
    classifier = setup["classifier"]
    before = by_layer(classifier.model)

    records = _train(setup)

    moved = changed(before, by_layer(classifier.model))
    last = set(classifier.stages[-1].layer_names) & set(before)
    assert moved == (last - norms(classifier.model)) | {NORM, "logits"}
    assert 0 < len(last - norms(classifier.model)) < len(before) / 2
    assert [record.phase for record in records][-1] == "fine-tune last"


def test_all_trains_every_layer_but_the_norms(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "all", "training.penalty": 1e3})
    model = setup["classifier"].model
    before = by_layer(model)

    _train(setup)

    assert norms(model)
    assert changed(before, by_layer(model)) == set(before) - norms(model)


def test_head_sees_standardised_training_features(training_setup: Setup) -> None:
    from tl.data.batches import evaluation_batches
    from tl.features import extract_features

    setup = training_setup(**{"training.strategy": "features"})
    classifier, training = setup["classifier"], setup["training"]
    _train(setup)

    features, _, _ = extract_features(
        classifier.backbone,
        evaluation_batches(training, (32, 32), batch_size=64),
        n_pictures=len(training),
    )
    norm = classifier.head.get_layer(NORM)
    assert np.allclose(norm.moving_mean, features.mean(axis=0), atol=1e-4)
    variance = features.var(axis=0)
    floor = 0.01 * variance.mean()
    assert np.allclose(norm.moving_variance, np.maximum(variance, floor), rtol=1e-3, atol=1e-6)


def test_fine_tuning_that_is_worse_than_the_head_is_undone(training_setup: Setup) -> None:
    stored: list[Any] = []
    setup = training_setup(**{"training.strategy": "last", "training.learning_rate": 5.0})
    model = setup["classifier"].model
    setup["on_best"] = lambda: stored.append(model.get_weights())

    records = _train(setup)

    head = [record for record in records if record.phase == "head"]
    tuned = [record for record in records if record.phase != "head"]
    assert min(one.metrics["val_loss"] for one in tuned) > min(
        one.metrics["val_loss"] for one in head
    )
    assert not any(one.best for one in tuned)
    assert len(stored) == sum(one.best for one in head)
    for one, other in zip(model.get_weights(), stored[-1], strict=True):
        assert np.array_equal(one, other)


def test_model_ends_with_the_weights_that_were_stored_last(training_setup: Setup) -> None:
    stored: list[Any] = []
    setup = training_setup(**{"training.penalty": 1.0, "training.epochs": 6})
    model = setup["classifier"].model
    setup["on_best"] = lambda: stored.append(model.get_weights())

    records = _train(setup)

    assert not records[-1].best or len(stored) > 1
    assert len(stored) == sum(one.best for one in records)
    for one, other in zip(model.get_weights(), stored[-1], strict=True):
        assert np.array_equal(one, other)


def test_no_validation_pictures_keep_the_last_epoch(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "last"})
    setup["validation"] = []

    records = _train(setup)

    assert [record.phase for record in records] == ["head", "fine-tune last", "fine-tune last"]
    assert all(record.best for record in records)
    assert "val_loss" not in records[0].metrics


def test_loss_that_is_no_number_names_phase_and_setting(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "all", "training.learning_rate": 1e-3})
    model = setup["classifier"].model

    class Spoil:
        def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
            if phase == "fine-tune all":
                kernel = model.get_layer("logits").kernel
                kernel.assign(np.full(kernel.shape, np.nan))

        def step_done(self, phase: str, epoch: int, step: int, images: int) -> None: ...

        def epoch_done(self, record: Any) -> None: ...

    setup["listener"] = Spoil()

    with pytest.raises(
        TrainingError, match="phase 'fine-tune all' became nan in epoch 1.*training.learning_rate"
    ):
        _train(setup)


def test_same_seed_gives_the_same_weights(training_setup: Setup) -> None:
    weights = []
    for _ in range(2):
        setup = training_setup(**{"training.strategy": "features"})
        _train(setup)
        weights.append(setup["classifier"].model.get_weights())

    for one, other in zip(*weights, strict=True):
        assert np.allclose(one, other, atol=1e-6)
