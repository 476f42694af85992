"""`auto` says what it chose and why, keeps to its time, and leaves a model early."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tl.config_reading import read_config
from tl.errors import ConfigError, Interrupted
from tl.training.progress import EpochRecord, Silent


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")


def run(pictures: Path, settings: dict[str, Any], listener: Any = None, **changes: Any) -> Any:
    from pipelines.finetune import finetune
    from pipelines.plan import make_plan

    said: list[str] = []
    flags = {"dataset": str(pictures), **settings, "training.strategy": "auto", **changes}
    result = finetune(make_plan(read_config(None, (), flags)), listener, said.append)
    return result, said


def the_run() -> Path:
    (folder,) = Path("runs").iterdir()
    return folder


def test_choice_is_said_kept_and_tracked(pictures: Path, settings: dict[str, Any]) -> None:
    result, said = run(pictures, settings)

    decision = json.loads((result.run / "decision.json").read_text())
    assert decision["amount"] == "little"  # twelve pictures a class
    assert decision["strategy"] in ("features", "stages")
    assert decision["evidence"]["pictures_per_class"] == pytest.approx(23 / 3, abs=1)
    table = [line for line in said if "data" in line and "epoch" in line]
    assert len(table) == 1  # the row of those that fine-tune, with what they would have cost
    assert sum(line.count("> ") for line in said) == 1
    log = (result.run / "log.txt").read_text()
    assert all(line in log for line in table)
    events = [json.loads(line) for line in (result.run / "tracking.jsonl").read_text().splitlines()]
    tags = {
        key: value
        for one in events
        if one["kind"] == "tags"
        for key, value in one["values"].items()
    }
    assert tags["tl.strategy"] == f"auto: {decision['strategy']}"
    losses = [one.metrics["val_loss"] for one in result.records if one.best]
    probe = min(one.metrics["val_loss"] for one in result.records if one.phase == "probe")
    assert losses[-1] <= probe


@pytest.mark.slow
def test_enough_pictures_are_fine_tuned_and_never_end_below_the_probe(
    pictures: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tl.strategy.LITTLE", 3)
    # So fast that fine-tuning can only do harm.
    result, _ = run(pictures, settings, **{"training.learning_rate": 1.0})

    decision = json.loads((result.run / "decision.json").read_text())
    assert decision["strategy"] in ("last", "all")
    tuned = [one for one in result.records if one.phase.startswith("fine-tune")]
    assert tuned
    best = [one for one in result.records if one.best][-1]
    assert best.phase in ("probe", "probe of stages", "head")
    assert result.exported is not None


class StopInHead(Silent):
    """Ctrl-C while the views' features are extracted: the probe is all that there is."""

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        if phase == "features of views":
            raise KeyboardInterrupt


@pytest.mark.slow
def test_ctrl_c_after_the_probe_leaves_a_model(pictures: Path, settings: dict[str, Any]) -> None:
    from pipelines.export import export_run
    from pipelines.reopen import reopen_data

    with pytest.raises(Interrupted, match="to publish them: tl export"):
        run(pictures, settings, StopInHead())

    exported = export_run(the_run(), reopen_data(the_run()))
    assert exported.metrics["top_1_accuracy"] > 0.5


class Slow(Silent):
    """A machine that takes its time over every batch and every update."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.epochs: list[EpochRecord] = []
        self.ended = 0.0  # on `time.monotonic`, the last epoch

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        if phase.startswith("fine-tune"):
            time.sleep(self._seconds)

    def epoch_done(self, record: EpochRecord) -> None:
        self.epochs.append(record)
        self.ended = time.monotonic()


@pytest.mark.slow
def test_fine_tuning_ends_with_its_time(
    pictures: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.publish

    monkeypatch.setattr("tl.strategy.LITTLE", 3)
    monkeypatch.setattr(pipelines.publish.Rehearsal, "seconds_of_export", lambda *_: 0.0)
    slow = Slow(seconds=1.0)  # three updates an epoch
    budget = {"training.time_budget": 30.0, "training.epochs": 50}
    began = time.monotonic()

    result, said = run(pictures, settings, slow, **budget)

    tuned = [one for one in slow.epochs if one.phase.startswith("fine-tune")]
    assert result.exported is not None
    # The last epoch that fits is done, none is begun that does not, and that is said.
    slowest = max(one.seconds for one in tuned)
    assert 30 - 2 * slowest - result.seconds["track"] < slow.ended - began < 30 + slowest / 2
    assert len(tuned) >= 3
    assert any("the time budget ends fine-tune" in line for line in said)


def test_budget_that_is_too_small_for_one_pass_says_what_would_do(
    pictures: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tl.training.gather.PICTURES_TO_TELL", 1)
    monkeypatch.setattr("tl.features.BATCH", 8)
    monkeypatch.setattr("tl.training.gather.Gatherer._refuse_spent_budget", lambda self: None)

    with pytest.raises(
        ConfigError,
        match=r"time budget of 1 s is too small: one pass over \d+ pictures .* at least",
    ):
        run(pictures, settings, **{"training.time_budget": 1.0, "data.keep_features": False})


def test_time_that_is_over_before_the_first_picture_is_refused_with_what_would_do(
    pictures: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"budget of 1 s is too small: starting and exporting "):
        run(pictures, settings, **{"training.time_budget": 1.0})


@pytest.mark.parametrize("size", [24, 100_000])
def test_batches_larger_than_the_training_are_refused(
    size: int, pictures: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=f"--batch-size {size:,} is more than the 23 training"):
        run(pictures, settings, **{"training.batch_size": size})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("augment.mixup", 0.2),
        ("augment.cutmix", 1.0),
        ("training.ema", 0.9),
        ("training.layer_decay", 0.5),
        ("training.batch_norm", "adapt"),
    ],
)
@pytest.mark.parametrize("strategy", ["features", "stages"])
def test_what_only_fine_tuning_does_is_refused_where_there_is_none(
    key: str, value: Any, strategy: str
) -> None:
    flags = {"dataset": "any", "training.strategy": strategy, key: value}

    with pytest.raises(ConfigError, match=f"fine-tunes nothing, so {key} = .* cannot apply"):
        read_config(None, (), flags)
    for other in ("auto", "last", "all"):
        read_config(None, (), {**flags, "training.strategy": other})
