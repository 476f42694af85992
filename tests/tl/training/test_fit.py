"""One phase: best weights, early stopping, reports."""

from typing import Any

import keras
import numpy as np
import pytest

from tl.errors import TrainingError
from tl.training.fit import compile_classifier, run_phase
from tl.training.progress import EpochRecord

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
ONES = np.ones(8, np.float32)


class Diary:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int, int]] = []
        self.steps: list[tuple[int, int, int]] = []
        self.records: list[EpochRecord] = []

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        self.phases.append((phase, epochs, steps_per_epoch))

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        self.steps.append((epoch, step, images))

    def epoch_done(self, record: EpochRecord) -> None:
        self.records.append(record)


def model(rate: float = 0.1) -> keras.Model:
    keras.utils.set_random_seed(0)
    built = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    compile_classifier(built, keras.optimizers.SGD(rate))
    return built


def run(built: keras.Model, validation: Any, **options: Any) -> list[EpochRecord]:
    def batches() -> Any:
        while True:
            yield X, Y, ONES

    settings = {"phase": "head", "epochs": 6, "steps_per_epoch": 2, "batch_size": 8,
                "listener": Diary(), **options}  # fmt: skip
    return run_phase(built, batches(), validation, **settings)


def wrong_labels() -> Any:
    """Validation that gets worse with every update."""
    return X, 1 - Y, ONES


def test_listener_is_told_of_phase_steps_and_epochs() -> None:
    diary = Diary()

    records = run(model(), (X, Y, ONES), epochs=3, listener=diary, first_step=100)

    assert diary.phases == [("head", 3, 2)]
    assert diary.steps == [(1, 1, 8), (1, 2, 8), (2, 1, 8), (2, 2, 8), (3, 1, 8), (3, 2, 8)]
    assert diary.records == records
    assert [(one.epoch, one.step, one.phase) for one in records] == [
        (1, 102, "head"), (2, 104, "head"), (3, 106, "head")
    ]  # fmt: skip
    assert set(records[0].metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert records[0].images_per_second > 0


def test_stops_after_patience_and_goes_back_to_the_best_epoch() -> None:
    built = model()
    seen: list[Any] = []

    records = run(
        built,
        wrong_labels(),
        epochs=20,
        patience=3,
        on_best=lambda: seen.append(built.get_weights()),
    )

    assert [one.best for one in records] == [True, False, False, False]
    assert len(seen) == 1
    for one, other in zip(built.get_weights(), seen[0], strict=True):
        assert np.array_equal(one, other)


def test_best_epoch_has_to_beat_what_came_before() -> None:
    built = model()

    records = run(built, (X, Y, ONES), loss_to_beat=0.0)

    assert not any(one.best for one in records)


def test_last_weights_stay_where_the_best_are_not_wanted() -> None:
    built, ended = model(), []

    run(built, wrong_labels(), restore_best=False,
        on_epoch=lambda epoch: ended.append(built.get_weights()))  # fmt: skip

    assert len(ended) == 6
    assert np.array_equal(built.get_weights()[0], ended[-1][0])
    assert not np.array_equal(ended[0][0], ended[-1][0])


def test_resumed_phase_counts_on() -> None:
    records = run(model(), None, epochs=6, first_epoch=4)

    assert [(one.epoch, one.step) for one in records] == [(5, 10), (6, 12)]


@pytest.mark.parametrize("where", ["training", "validation"])
def test_nan_ends_the_phase_with_its_name(where: str) -> None:
    bad = np.full_like(X, np.nan)
    if where == "training":
        built = model()
        built.layers[0].kernel.assign(np.full((3, 2), np.nan))
        validation: Any = None
    else:
        built, validation = model(), (bad, Y, ONES)

    with pytest.raises(TrainingError, match="loss of phase 'head' became nan in epoch 1"):
        run(built, validation)
