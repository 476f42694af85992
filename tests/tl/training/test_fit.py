"""One phase: best weights, early stopping, reports."""

import copy
from typing import Any

import keras
import numpy as np
import pytest

from tl.training.fit import (
    EXPLODED,
    EXPLOSION_UPDATES,
    Diverged,
    PhaseState,
    compile_classifier,
    measure,
    run_phase,
)
from tl.training.optimizer import build_optimizer
from tl.training.progress import EpochRecord, Silent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
ONES = np.ones(8, np.float32)


class Diary(Silent):
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

    state = options.pop("state", None) or PhaseState(best_weights=built.get_weights())
    settings = {"phase": "head", "epochs": 6, "steps_per_epoch": 2, "batch_size": 8,
                "listener": Diary(), **options}  # fmt: skip
    run_phase(
        built,
        lambda batch: built.train_on_batch(*batch, return_dict=True),
        batches(),
        validation,
        state=state,
        **settings,
    )
    return state.records


def wrong_labels() -> Any:
    """Validation that gets worse with every update."""
    return [(X, 1 - Y, ONES)]


def test_listener_is_told_of_phase_steps_and_epochs() -> None:
    diary = Diary()

    records = run(model(), [(X, Y, ONES)], epochs=3, listener=diary, first_step=100)

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
    before = built.get_weights()

    records = run(built, [(X, Y, ONES)], state=PhaseState(best_loss=0.0, best_weights=before))

    assert not any(one.best for one in records)
    assert np.array_equal(built.get_weights()[0], before[0])


def test_last_weights_stay_where_the_best_are_not_wanted() -> None:
    built, ended = model(), []

    run(built, wrong_labels(), restore_best=False,
        on_update=lambda: ended.append(built.get_weights()))  # fmt: skip

    assert len(ended) == 12
    assert np.array_equal(built.get_weights()[0], ended[-1][0])
    assert not np.array_equal(ended[0][0], ended[-1][0])


def test_phase_goes_on_in_the_middle_of_an_epoch() -> None:
    """The state and the weights are all that it needs."""
    whole, halves = model(), model()
    records = run(whole, wrong_labels(), restore_best=False)
    state = PhaseState(best_weights=halves.get_weights())

    class Stop(Exception): ...

    def stop() -> None:
        if state.step == 7:
            raise Stop

    with pytest.raises(Stop):
        run(halves, wrong_labels(), state=state, on_update=stop)
    again = copy.deepcopy(state)
    assert again.sums
    assert len(again.records) == 3
    resumed = run(halves, wrong_labels(), state=again, restore_best=False)

    assert [one.metrics for one in resumed] == [one.metrics for one in records]
    assert [(one.epoch, one.step, one.best) for one in resumed] == [
        (one.epoch, one.step, one.best) for one in records
    ]
    assert np.array_equal(whole.get_weights()[0], halves.get_weights()[0])


def test_phase_that_had_stopped_does_nothing_more() -> None:
    built = model()
    zeros = [np.zeros_like(one) for one in built.get_weights()]
    state = PhaseState(step=4, epochs_since_best=3, best_loss=0.1, best_weights=zeros)

    assert run(built, wrong_labels(), state=state, patience=3) == []
    assert not built.get_weights()[0].any()


@pytest.mark.parametrize("where", ["training", "validation"])
def test_nan_ends_the_phase_with_its_name(where: str) -> None:
    bad = np.full_like(X, np.nan)
    built, validation = model(), [(bad, Y, ONES)]
    if where == "training":
        built.layers[0].kernel.assign(np.full((3, 2), np.nan))
        validation = []

    with pytest.raises(Diverged, match="loss of phase 'head' became nan in epoch 1"):
        run(built, validation or None)


def test_exploding_loss_ends_the_phase_before_the_epoch_does() -> None:
    built = model()

    def spoil() -> None:
        built.layers[0].kernel.assign(built.layers[0].kernel * -1e3)

    state = PhaseState(best_loss=0.7, best_weights=built.get_weights())
    with pytest.raises(Diverged, match=r"became \d.* in epoch 1"):
        run(built, [(X, Y, ONES)], state=state, steps_per_epoch=100, on_update=spoil)
    assert EXPLOSION_UPDATES <= state.step < 20


def test_loss_without_something_to_beat_cannot_explode() -> None:
    built = model(rate=1e-9)
    built.layers[0].kernel.assign(np.array([[100, -100], [0, 0], [0, 0]], np.float32))

    records = run(built, None, epochs=1, steps_per_epoch=20)

    assert records[0].metrics["loss"] > EXPLODED


def test_measured_loss_counts_rows_and_accuracy_counts_weights() -> None:
    built = model()
    weights = np.arange(8, dtype=np.float32)
    whole = built.test_on_batch(X, Y, weights, return_dict=True)

    parts = measure(built, [(X[:5], Y[:5], weights[:5]), (X[5:], Y[5:], weights[5:])])

    assert parts == pytest.approx({name: float(value) for name, value in whole.items()})


def test_averaged_weights_are_measured_and_kept() -> None:
    """With a validation that gets worse, what is kept is the average of the first epoch."""
    built = model()
    compile_classifier(
        built,
        build_optimizer(
            learning_rate=0.1, total_steps=12, warmup_steps=0, weight_decay=0.0, ema_momentum=0.5
        ),
    )
    seen: list[Any] = []

    run(
        built,
        wrong_labels(),
        patience=1,
        on_best=lambda: seen.append(built.get_weights()),
        on_update=lambda: seen.append(built.get_weights()),
    )

    first, best, second = seen[0], seen[1], seen[2]
    assert not np.allclose(best[0], second[0], atol=1e-4)
    assert np.allclose(best[0], 0.5 * first[0] + 0.5 * second[0], atol=1e-6)
    assert np.array_equal(built.get_weights()[0], best[0])
