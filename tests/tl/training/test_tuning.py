"""What trains, what stays, and which weights a run ends with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tl.errors import TrainingError
from tl.heads import NORM
from tl.strategy import Decision, Evidence, decide
from tl.training.checkpoints import Checkpoint, read_checkpoint
from tl.training.progress import EpochRecord, Silent
from tl.training.standing import CheckpointWriter
from tl.training.task import Task
from tl.training.tuning import layer_factors, train_classifier

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


def _train(setup: dict[str, Any], resumed: Checkpoint | None = None) -> list[EpochRecord]:
    return train_classifier(Task(**setup), resumed).records


def test_features_trains_the_head_only(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "features"})
    model = setup["classifier"].model
    before = by_layer(model)

    records = _train(setup)

    assert changed(before, by_layer(model)) == {NORM, "logits"}
    assert {record.phase for record in records} == {"head"}


@pytest.mark.parametrize("n_stages", [1, 2])
def test_last_trains_the_last_stages_and_the_head_without_norms(
    n_stages: int, training_setup: Setup
) -> None:
    # A head that is hardly allowed to learn leaves fine-tuning something to be better than.
    options = {"training.penalty": 1e3, "training.last_stages": n_stages}
    setup = training_setup(**{"training.strategy": "last", **options})
    classifier = setup["classifier"]
    before = by_layer(classifier.model)

    records = _train(setup)

    moved = changed(before, by_layer(classifier.model))
    stages = classifier.stages[-n_stages:]
    last = {name for stage in stages for name in stage.layer_names} & set(before)
    assert moved == (last - norms(classifier.model)) | {NORM, "logits"}
    assert 0 < len(last - norms(classifier.model)) < 0.7 * len(before)
    assert [record.phase for record in records][-1] == "fine-tune last"


def test_all_trains_every_layer_but_the_norms(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "all", "training.penalty": 1e3})
    model = setup["classifier"].model
    before = by_layer(model)

    _train(setup)

    assert norms(model)
    assert changed(before, by_layer(model)) == set(before) - norms(model)


def test_head_sees_standardised_training_features(training_setup: Setup) -> None:
    from tl.features import FeatureExtractor, plain_view

    setup = training_setup(**{"training.strategy": "features"})
    classifier, training = setup["classifier"], setup["training"]
    _train(setup)

    table = FeatureExtractor(classifier.backbone).extract(training, plain_view((32, 32)))
    features = table.of_stages([-1])
    norm = classifier.head.get_layer(NORM)
    assert np.allclose(norm.moving_mean, features.mean(axis=0), atol=1e-4)
    variance = features.var(axis=0)
    floor = 0.01 * variance.mean()
    assert np.allclose(norm.moving_variance, np.maximum(variance, floor), rtol=1e-3, atol=1e-6)


def test_fine_tuning_that_is_worse_than_the_head_is_undone(training_setup: Setup) -> None:
    stored: list[Any] = []
    setup = training_setup(**{"training.strategy": "last", "training.learning_rate": 0.03})
    model = setup["classifier"].model
    setup["on_best"] = lambda best: stored.append(best.model.get_weights())

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
    setup["on_best"] = lambda best: stored.append(best.model.get_weights())

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


class Spoil(Silent):
    """Make the weights no numbers after some update, as often as asked."""

    def __init__(self, model: keras.Model, after: int, times: int) -> None:
        self._kernel, self._after, self._times = model.get_layer("logits").kernel, after, times
        self._updates = 0

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        self._updates = 0

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        self._updates += 1
        if phase.startswith("fine-tune") and self._updates == self._after and self._times:
            self._times -= 1
            self._kernel.assign(np.full(self._kernel.shape, np.nan))


def test_phase_that_diverges_begins_again_from_its_best_at_a_lower_rate(
    training_setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    setup = training_setup(**{"training.strategy": "all", "training.penalty": 1.0})
    setup["listener"] = Spoil(setup["classifier"].model, after=4, times=1)

    records = _train(setup)

    assert [one.phase for one in records[1:]] == ["fine-tune all"] + 2 * ["fine-tune all slower"]
    assert "became nan in epoch 2. It begins again, at a tenth of the rate" in caplog.text
    for one in setup["classifier"].model.get_weights():
        assert np.isfinite(one).all()


def test_phase_that_diverges_twice_ends_with_what_was_best(
    training_setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    setup = training_setup(**{"training.strategy": "all", "training.penalty": 1.0})
    stored: list[Any] = []
    model = setup["classifier"].model
    setup["on_best"] = lambda best: stored.append(best.model.get_weights())
    setup["listener"] = Spoil(model, after=1, times=2)

    records = _train(setup)

    assert [one.phase for one in records] == ["head"]
    assert "It is ended with the best weights so far" in caplog.text
    for one, other in zip(model.get_weights(), stored[-1], strict=True):
        assert np.array_equal(one, other)


def test_rates_fall_stage_by_stage_towards_the_pixels(training_setup: Setup) -> None:
    classifier = training_setup()["classifier"]

    factor = layer_factors(classifier, 0.5)

    for distance, stage in enumerate(reversed(classifier.stages)):
        layers = [classifier.backbone.get_layer(name) for name in stage.layer_names]
        found = {factor(variable) for layer in layers for variable in layer.variables}
        assert found == {0.5**distance}
    assert {factor(one) for one in classifier.head.get_layer("logits").variables} == {1.0}


def test_lower_layers_move_less_where_rates_decay(training_setup: Setup) -> None:
    moved = []
    for decay in (1.0, 0.1):
        options = {"training.strategy": "all", "training.penalty": 1e3}
        setup = training_setup(**options, **{"training.layer_decay": decay})
        first = setup["classifier"].backbone.get_layer("conv1").kernel
        before = np.asarray(first)
        _train(setup)
        moved.append(np.abs(np.asarray(first) - before).mean())

    assert 0 < moved[1] < 0.5 * moved[0]


def test_adapted_norms_follow_the_pictures(training_setup: Setup) -> None:
    options = {"training.strategy": "all", "training.penalty": 1e3}
    setup = training_setup(**options, **{"training.batch_norm": "adapt"})
    model = setup["classifier"].model
    before = by_layer(model)

    _train(setup)

    assert norms(model) <= changed(before, by_layer(model))


@pytest.mark.slow
def test_same_seed_gives_the_same_weights_to_the_bit(training_setup: Setup) -> None:
    weights = []
    for _ in range(2):
        setup = training_setup(**EVERYTHING)
        _train(setup)
        weights.append(setup["classifier"].model.get_weights())

    for one, other in zip(*weights, strict=True):
        assert np.array_equal(one, other)


EVERYTHING = {
    "training.strategy": "all",
    "training.penalty": 1e3,  # so that fine-tuning has something to gain
    "training.learning_rate": 3e-3,
    "training.epochs": 4,
    "training.ema": 0.5,
    "training.layer_decay": 0.7,
    "training.batch_norm": "adapt",
    "training.label_smoothing": 0.1,
    "augment.mixup": 0.2,
    "augment.cutmix": 1.0,
}
"""Everything that has a state: moments, averages, statistics, seeds of dropout and mixing."""


class Killed(BaseException):
    pass


class Kill(Silent):
    """End the work after some update of fine-tuning, or after the validation of its epoch."""

    def __init__(self, after: int, steps: int, in_validation: bool) -> None:
        self._after, self._steps, self._late = after, steps, in_validation

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        update = (epoch - 1) * self._steps + step
        if phase.startswith("fine-tune") and update == self._after and not self._late:
            raise Killed

    def epoch_done(self, record: EpochRecord) -> None:
        if record.phase.startswith("fine-tune") and record.epoch * self._steps >= self._after:
            raise Killed


@pytest.fixture(scope="module")
def uninterrupted(training_setup: Setup) -> tuple[list[EpochRecord], list[Any], int]:
    """Records and weights of a run that nothing stopped, and its updates an epoch."""
    setup = training_setup(**EVERYTHING)
    records = _train(setup)
    assert any(one.best for one in records[1:])
    steps = Task(**setup).steps_per_epoch
    return records, setup["classifier"].model.get_weights(), steps


@pytest.mark.parametrize(
    "seed",
    [
        0,
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6)),
        *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(6, 20)),
    ],
)
def test_run_killed_anywhere_ends_as_if_it_had_not_been(
    seed: int, training_setup: Setup, tmp_path: Path, uninterrupted: Any
) -> None:
    """Twenty seeded kill points; between checkpoints, in validation, twice in one run."""
    expected_records, expected, steps = uninterrupted
    rng = np.random.default_rng(seed)
    kills = np.sort(rng.integers(1, 4 * steps + 1, 1 + seed % 2))
    pause = float(rng.choice([0.0, 0.0, 0.05, 60.0]))  # seconds between checkpoints
    for kill in kills:
        setup = training_setup(**EVERYTHING)
        listener = Kill(int(kill), steps, in_validation=bool(rng.integers(2)))
        setup |= {"listener": listener, "checkpoints": CheckpointWriter(tmp_path, pause)}
        with pytest.raises(Killed):
            _train(setup, read_checkpoint(tmp_path))
    setup = training_setup(**EVERYTHING)
    setup["classifier"].model.set_weights(  # nothing of the new process may matter
        [one + 1 for one in setup["classifier"].model.get_weights()]
    )

    records = _train(setup, read_checkpoint(tmp_path))

    assert [(r.phase, r.epoch, r.step, r.metrics, r.best) for r in records] == [
        (r.phase, r.epoch, r.step, r.metrics, r.best) for r in expected_records
    ]
    for one, other in zip(setup["classifier"].model.get_weights(), expected, strict=True):
        assert np.array_equal(one, other)


def test_checkpoint_of_another_network_is_refused(training_setup: Setup, tmp_path: Path) -> None:
    setup = training_setup(**EVERYTHING)
    setup |= {"listener": Kill(1, 99, False), "checkpoints": CheckpointWriter(tmp_path, 0.0)}
    with pytest.raises(Killed):
        _train(setup)
    stored = read_checkpoint(tmp_path)
    assert stored is not None
    head = next(name for name, one in stored.arrays.items() if one.shape[-1:] == (3,))
    stored.arrays[head] = np.zeros((*stored.arrays[head].shape[:-1], 4), np.float32)

    with pytest.raises(TrainingError, match="another number of classes"):
        _train(training_setup(**EVERYTHING), stored)
    del stored.arrays[head]
    with pytest.raises(TrainingError, match="other settings of its training"):
        _train(training_setup(**EVERYTHING), stored)


def test_full_disk_costs_the_checkpoints_and_not_the_run(
    training_setup: Setup, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    setup = training_setup(**{"training.strategy": "last"})
    setup["checkpoints"] = CheckpointWriter(tmp_path / "file" / "below", 0.0)

    records = _train(setup)

    assert records[-1].phase == "fine-tune last"
    assert "no checkpoint could be written" in caplog.text


@pytest.mark.parametrize("pays", [True, False])
def test_auto_goes_on_only_where_its_first_round_has_paid(
    pays: bool, training_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("tl.strategy.LITTLE", 3)
    monkeypatch.setattr("tl.strategy.CERTAIN", 1e9)  # pictures like those of the pretraining
    # A head that is hardly allowed to learn leaves fine-tuning much to gain, another one nothing.
    options = {"training.penalty": 1e3} if pays else {"training.learning_rate": 1.0}
    setup = training_setup(**{"training.strategy": "auto", "training.epochs": 8, **options})

    records = _train(setup | {"say": said.append})

    phases = [one.phase for one in records if one.phase.startswith("fine-tune")]
    ran = [phases.count(name) for name in dict.fromkeys(phases)]
    assert ran == ([2, 6] if pays else [2])
    refusals = [line for line in said if "more of it would not pay" in line]
    assert len(refusals) == (not pays)


@pytest.mark.slow
def test_run_killed_between_rounds_goes_on_as_it_would_have(
    training_setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tl.strategy.LITTLE", 3)
    monkeypatch.setattr("tl.strategy.CERTAIN", 1e9)  # pictures like those of the pretraining
    options = {"training.strategy": "auto", "training.epochs": 8, "training.penalty": 1e3}
    setup = training_setup(**options)
    expected = _train(setup)
    steps = Task(**setup).steps_per_epoch
    killed = training_setup(**options)
    killed |= {
        "listener": Kill(2 * steps, steps, in_validation=True),
        "checkpoints": CheckpointWriter(tmp_path, 0.0),
    }
    with pytest.raises(Killed):
        _train(killed)

    again = training_setup(**options)
    records = _train(again, read_checkpoint(tmp_path))

    assert [(r.phase, r.epoch, r.metrics) for r in records] == [
        (r.phase, r.epoch, r.metrics) for r in expected
    ]
    for one, other in zip(
        again["classifier"].model.get_weights(), setup["classifier"].model.get_weights(),
        strict=True,
    ):  # fmt: skip
        assert np.array_equal(one, other)


def test_pictures_of_another_kind_are_fine_tuned_without_rounds(
    training_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def different(evidence: Evidence) -> Decision:
        return replace(decide(evidence), amount="more", kind="different", strategy="all")

    monkeypatch.setattr("tl.training.opening.decide", different)

    records = _train(training_setup(**{"training.strategy": "auto", "training.epochs": 3}))

    tuned = [one for one in records if one.phase.startswith("fine-tune")]
    assert [(one.phase, one.epoch) for one in tuned] == [("fine-tune all", n) for n in (1, 2, 3)]
