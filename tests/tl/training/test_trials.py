"""What is tried, what is chosen of it, and that a trial leaves no trace."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.training import settle as settling
from tl.training.checkpoints import read_checkpoint
from tl.training.devices import Device
from tl.training.progress import Silent
from tl.training.standing import CheckpointWriter
from tl.training.task import Task
from tl.training.trials import (
    GAIN,
    Settled,
    fastest_size,
    pictures_per_second,
    repeated,
    size_line,
    sizes_to_try,
    xla_line,
)
from tl.training.tuning import train_classifier

Setup = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("pictures", "kind", "sizes"),
    [
        (20, "CPU", [16]),
        (511, "CPU", [16]),
        (512, "CPU", [16, 32]),
        (10**6, "CPU", [16, 32, 64, 128]),
        (10**6, "GPU", [16, 32, 64, 128, 256, 512, 1024]),
    ],
)
def test_sizes_keep_sixteen_updates_an_epoch(pictures: int, kind: str, sizes: list[int]) -> None:
    assert sizes_to_try(pictures, kind) == sizes


@pytest.mark.parametrize(
    ("rates", "chosen", "tried"),
    [
        ({16: 100.0, 32: 150.0, 64: 200.0}, 64, 3),
        ({16: 100.0, 32: 150.0, 64: 157.0, 128: 900.0}, 32, 3),  # under 5 % more: no further
        ({16: 100.0, 32: 90.0, 64: 200.0}, 16, 2),
        ({16: 100.0, 32: 150.0, 64: None, 128: 900.0}, 32, 3),
        ({16: None, 32: 900.0}, 16, 1),
    ],
)
def test_size_grows_while_memory_holds_and_it_pays(
    rates: dict[int, float | None], chosen: int, tried: int
) -> None:
    found = fastest_size(rates.__getitem__, list(rates))

    assert found == (chosen, dict(list(rates.items())[:tried]))


@given(st.lists(st.floats(0.1, 1e6) | st.none(), min_size=1, max_size=7))
def test_chosen_size_is_the_fastest_of_those_tried(rates: list[float | None]) -> None:
    sizes = [16 * 2**place for place in range(len(rates))]
    chosen, found = fastest_size(dict(zip(sizes, rates, strict=True)).__getitem__, sizes)

    best = found[chosen]
    others = [rate for rate in found.values() if rate is not None]
    assert best is None or max(others) <= GAIN * best


def test_lines_say_what_was_found() -> None:
    assert size_line(32, {16: 4.26, 32: 8.5, 64: None}) == (
        "batch size 32 by trial, pictures/s: 4.3 at 16, 8.5 at 32, not possible at 64"
    )
    assert "fewer than 16 updates" in size_line(16, {})
    assert xla_line(True, {True: 1234.5, False: 99.6}) == (
        "XLA on by trial, pictures/s: 1,234 with it, 100 without"
    )


def test_rate_is_that_of_the_median_update_after_two_for_compiling() -> None:
    now, calls = 0.0, 0

    def update(batch: Any) -> None:
        nonlocal now, calls
        calls += 1
        now += {1: 60.0, 2: 60.0, 3: 0.5, 4: 9.0}.get(calls, 0.5)

    batch = (np.zeros((8, 1)), np.zeros(8), np.ones(8))
    rate = pictures_per_second(update, batch, clock=lambda: now)

    assert calls == 4
    assert rate == pytest.approx(8 / 4.75)


def test_what_finds_no_memory_has_no_rate_and_other_errors_are_raised() -> None:
    def fails(message: str) -> Callable[[Any], None]:
        def update(batch: Any) -> None:
            raise RuntimeError(message)

        return update

    batch = repeated((np.zeros((2, 1)), np.zeros(2), np.ones(2)), 5)
    assert [len(one) for one in batch] == [5, 5, 5]
    assert pictures_per_second(fails("RESOURCE_EXHAUSTED: 5 GB"), batch) is None
    with pytest.raises(RuntimeError, match="shapes"):
        pictures_per_second(fails("shapes differ"), batch)


TUNED = {
    "training.strategy": "all",
    "training.penalty": 1.0,
    "training.learning_rate": 3e-3,
    "training.ema": 0.5,
    "training.batch_norm": "adapt",
    "augment.mixup": 0.2,
}


def _sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a dozen pictures do for a trial of two sizes."""
    monkeypatch.setattr(settling, "sizes_to_try", lambda pictures, kind: [4, 8])


@pytest.mark.slow
@pytest.mark.parametrize(
    "rates", [(100.0, 200.0), pytest.param((200.0, 100.0), marks=pytest.mark.soak)]
)
def test_run_after_a_trial_is_to_the_bit_that_with_the_size_it_found(
    rates: tuple[float, float], training_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The updates are really made; only what the clock says is given."""
    _sizes(monkeypatch)
    real, left = pictures_per_second, list(rates)
    monkeypatch.setattr(
        settling,
        "pictures_per_second",
        lambda update, batch: left.pop(0) if real(update, batch) else None,
    )
    said: list[str] = []
    auto = training_setup(**TUNED, **{"training.batch_size": "auto"})
    records = train_classifier(Task(**auto, say=said.append)).records

    chosen = 8 if rates[1] > rates[0] else 4
    given_ = training_setup(**TUNED, **{"training.batch_size": chosen})
    expected = train_classifier(Task(**given_)).records
    assert left == []
    assert said == [size_line(chosen, {4: rates[0], 8: rates[1]})]
    assert [(one.step, one.metrics) for one in records] == [
        (one.step, one.metrics) for one in expected
    ]
    pairs = zip(
        auto["classifier"].model.get_weights(),
        given_["classifier"].model.get_weights(),
        strict=True,
    )
    for one, other in pairs:
        assert np.array_equal(one, other)


class Killed(BaseException):
    pass


class KillInTheSecondEpoch(Silent):
    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        if phase.startswith("fine-tune") and (epoch, step) == (2, 1):
            raise Killed


@pytest.mark.soak
def test_resumed_run_keeps_what_was_settled_and_tries_nothing(
    training_setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**TUNED, "training.batch_size": "auto", "training.epochs": 2}
    _sizes(monkeypatch)
    monkeypatch.setattr(settling, "pictures_per_second", lambda *_: 1.0)  # so the first one stays
    setup = training_setup(**options)
    setup |= {"listener": KillInTheSecondEpoch(), "checkpoints": CheckpointWriter(tmp_path, 0)}
    with pytest.raises(Killed):
        train_classifier(Task(**setup))
    monkeypatch.setattr(settling, "pictures_per_second", None)  # is not to be called

    resumed = training_setup(**options)
    stored = read_checkpoint(tmp_path)
    assert stored is not None
    assert stored.facts["settled"] == {"batch_size": 4, "xla": False}
    records = train_classifier(Task(**resumed), stored).records

    whole = training_setup(**{**options, "training.batch_size": 4})
    expected = train_classifier(Task(**whole)).records
    assert [(one.step, one.metrics) for one in records] == [
        (one.step, one.metrics) for one in expected
    ]


@pytest.mark.soak
def test_xla_is_timed_both_ways_on_a_gpu(
    training_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU takes the place of the GPU; both ways are compiled and run."""
    setup = training_setup(**TUNED)
    said: list[str] = []
    gpu = Device("GPU", "a CPU in its place", "float32", "tensorflow")
    task = Task(**setup, device=gpu, say=said.append)
    real, rates = pictures_per_second, []

    def noted(update: Any, batch: Any) -> float | None:
        rates.append(real(update, batch))
        return rates[-1]

    monkeypatch.setattr(settling, "pictures_per_second", noted)
    train_classifier(task)

    without, with_it = rates
    assert without is not None
    assert said == [xla_line((with_it or 0) > without, {True: with_it, False: without})]


def test_nothing_is_tried_where_nothing_is_open(training_setup: Setup) -> None:
    plain = Task(**training_setup())
    gpu = Device("GPU", "", "float32", "tensorflow")

    assert not settling.is_open(plain)
    assert settling.as_asked(plain) == Settled(8, False)
    asked = Task(**training_setup(**{"training.xla": "on"}))
    assert settling.as_asked(asked) == Settled(8, True)
    assert settling.is_open(Task(**training_setup(), device=gpu))
    sure = Device("GPU", "", "float32", "tensorflow", deterministic=True)
    assert not settling.is_open(Task(**training_setup(), device=sure))
    several = Device("GPU", "", "float32", "tensorflow", replicas=("GPU:0", "GPU:1"))
    assert not settling.is_open(Task(**training_setup(), device=several))
    off = training_setup(**{"training.xla": "off"})
    assert not settling.is_open(Task(**off, device=gpu))
