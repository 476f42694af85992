"""A run that was stopped goes on and ends as if it had not been, or says what has changed."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.resume import plan_resumption
from tl.config_reading import read_config
from tl.data.split import read_split
from tl.errors import ConfigError, DatasetError, Interrupted, TrainingError
from tl.run_folder import read_record, write_record
from tl.training.progress import EpochRecord, Silent

SETTINGS = {
    "training.strategy": "all",
    "training.penalty": 1e3,
    "training.learning_rate": 3e-3,
    "training.epochs": 3,
    "training.checkpoint_seconds": 0.0,
}


@pytest.fixture(scope="module")
def own_pictures(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, for tests that change it and change it back."""
    return Path(shutil.copytree(pictures, tmp_path_factory.mktemp("own") / "colours"))


class StopAt(Silent):
    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        if phase.startswith("fine-tune") and (epoch, step) == (self._epoch, 2):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def stopped(own_pictures: Path, settings: dict[str, Any], home: Path) -> Path:
    """A run that Ctrl-C stopped in the second epoch of its fine-tuning."""
    from pipelines.finetune import finetune
    from pipelines.plan import make_plan

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
        config = read_config(None, (), {"dataset": str(own_pictures), **settings, **SETTINGS})
        with pytest.raises(Interrupted, match="to go on: tl finetune --resume runs/"):
            finetune(make_plan(config), StopAt(epoch=2))
    (run,) = (home / "runs").iterdir()
    return run


@pytest.fixture
def run(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stopped run, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
    return Path(shutil.copytree(stopped, tmp_path / "runs" / stopped.name))


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "tracking.jsonl").read_text().splitlines()]


def figures_told(run: Path) -> list[Any]:
    """Names and steps of all figures but those that are told by the clock."""
    return [
        (one["step"], *sorted(one["values"]))
        for one in events(run)
        if one["kind"] == "metrics"
        and not any(name.startswith("system/") or ".updates." in name for name in one["values"])
    ]


def test_resumed_run_ends_as_one_that_was_never_stopped(
    run: Path, own_pictures: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    from pipelines.finetune import finetune, resume
    from pipelines.plan import make_plan

    said: list[str] = []
    resumed = resume(plan_resumption(run), None, said.append)
    config = read_config(None, (), {"dataset": str(own_pictures), **settings, **SETTINGS})
    whole = finetune(make_plan(config))

    assert any(line.startswith("going on from") and "checkpoint-" in line for line in said)
    for one, other in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(one, other)

    def figures(records: tuple[EpochRecord, ...]) -> list[Any]:
        return [(one.phase, one.epoch, one.step, one.metrics, one.best) for one in records]

    assert figures(resumed.records) == figures(whole.records)
    assert resumed.run == run
    assert resumed.exported is not None
    assert whole.exported is not None
    assert resumed.exported.metrics == whole.exported.metrics
    assert read_record(run).state == "finished"
    assert not list((run / "checkpoints").iterdir())
    # The store is told everything once, as by a run that was never stopped.
    assert figures_told(run) == figures_told(whole.run)
    told = [one["kind"] for one in events(run)]
    assert told.count("begin") == 1
    assert told.count("resume") == 1


@pytest.mark.slow
def test_run_killed_before_its_first_checkpoint_begins_again_in_its_folder(run: Path) -> None:
    from pipelines.finetune import resume

    shutil.rmtree(run / "checkpoints")
    (run / "classifier.weights.h5").unlink()
    resumption = plan_resumption(run)
    assert resumption.checkpoint is None
    said: list[str] = []

    result = resume(resumption, None, said.append)

    assert "begins again, in the same folder" in said[0]
    assert result.run == run
    assert {one.phase for one in result.records} == {"probe", "head", "fine-tune all"}


@pytest.mark.slow
def test_run_that_begins_again_is_finished_in_the_store_too(
    own_pictures: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by a relative path, as people do; MLflow lets no parameter of a run change."""
    from mlflow import MlflowClient

    from pipelines.finetune import finetune, resume
    from pipelines.plan import make_plan

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(own_pictures, tmp_path / "colours")
    monkeypatch.chdir(tmp_path)
    config = read_config(None, (), {"dataset": "colours", **settings, **SETTINGS})
    with pytest.raises(Interrupted):
        finetune(make_plan(config), StopAt(epoch=1))
    (folder,) = Path("runs").iterdir()
    shutil.rmtree(folder / "checkpoints")
    again = read_config(None, ("training.epochs=2",), base=read_record(folder).config)

    result = resume(plan_resumption(folder, again, force=True))

    assert result.tracking_fault is None
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("colours").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.data.params["dataset"] == str(tmp_path / "colours")
    assert run.data.params["training.epochs"] == "3"
    assert run.data.tags["tl.resumed.training.epochs"] == "2"
    assert "tl.resumed.dataset" not in run.data.tags
    assert "val_loss" in " ".join(run.data.metrics)


@pytest.mark.slow
def test_damaged_checkpoints_are_not_called_none(run: Path) -> None:
    from pipelines.finetune import resume

    for path in (run / "checkpoints").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-9])
    said: list[str] = []

    resume(plan_resumption(run), None, said.append)

    assert "no checkpoint of the run is whole: it begins again" in said[0]


def test_finished_run_is_not_resumed(trained: Any) -> None:
    with pytest.raises(ConfigError, match="is finished, so there is nothing to resume; its model"):
        plan_resumption(trained.run)


def test_run_that_still_goes_on_is_not_resumed(run: Path) -> None:
    import fcntl

    from pipelines.finetune import resume

    with (run / "tracking.jsonl").open("a") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="is still running; wait for its end"):
            resume(plan_resumption(run))


def test_other_settings_are_named_and_refused_unless_forced(run: Path) -> None:
    before = read_record(run).config
    config = read_config(None, ("training.epochs=9", "seed=4"), base=before)

    with pytest.raises(
        ConfigError,
        match="other settings: seed was 0 and is 4; training.epochs was 3 and is 9. .*--force",
    ):
        plan_resumption(run, config)
    forced = plan_resumption(run, config, force=True)
    assert forced.plan.config.training.epochs == 9
    assert forced.checkpoint is not None
    assert [one["epochs"] for one in forced.checkpoint.facts["phases"]] == [9]
    same = read_config(None, ("training.epochs=3",), base=before)
    assert plan_resumption(run, same).plan.config.training.epochs == 3


@pytest.mark.parametrize(
    "setting",
    ["model.hidden=32", "model.backbone=mobilenet_0.25", "model.image_size=64",
     "training.strategy=last", "training.batch_size=4", "training.ema=0.9"],
)  # fmt: skip
def test_another_network_is_refused_even_where_forced_and_nothing_is_changed(
    setting: str, run: Path
) -> None:
    before = (run / "run.json").read_bytes()
    config = read_config(None, (setting,), base=read_record(run).config)

    with pytest.raises(ConfigError, match="cannot go on with another network or strategy: "):
        plan_resumption(run, config, force=True)

    assert (run / "run.json").read_bytes() == before
    assert plan_resumption(run).checkpoint is not None


@pytest.mark.slow
def test_forced_run_trains_on_with_the_new_settings_and_pictures(
    run: Path, own_pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pipelines.finetune import resume

    config = read_config(
        None, ("training.epochs=5", "training.learning_rate=1e-4"), base=read_record(run).config
    )
    undo = _relabel(own_pictures)
    try:
        result = resume(plan_resumption(run, config, force=True))
    finally:
        undo()

    assert "forced to go on: the run began with other settings: training.epochs was" in caplog.text
    assert "is not what the run began with: " in caplog.text
    assert "the best validation loss so far is of the pictures before" in caplog.text
    assert [one.epoch for one in result.records if one.phase == "fine-tune all"] == [1, 2, 3, 4, 5]
    assert result.exported is not None
    assert read_record(run).config.training.epochs == 5


def test_another_class_is_refused_even_where_forced_and_nothing_is_changed(
    run: Path, own_pictures: Path
) -> None:
    before = (run / "run.json").read_bytes()
    undo = _rename_class(own_pictures)
    try:
        with pytest.raises(DatasetError, match="other classes need another head"):
            plan_resumption(run, force=True)
    finally:
        undo()

    assert (run / "run.json").read_bytes() == before
    assert plan_resumption(run).checkpoint is not None


def test_another_backend_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipelines.finetune

    record = read_record(run)
    write_record(run, dataclasses.replace(record, device="CPU, float32, jax"))
    monkeypatch.setattr(pipelines.finetune, "_run", lambda *_: None)
    said: list[str] = []

    pipelines.finetune.resume(plan_resumption(run), None, said.append)

    assert any("began with jax and goes on with tensorflow" in line for line in said)


def _add(folder: Path) -> Callable[[], object]:
    new = folder / "red" / "new.jpg"
    shutil.copy(folder / "blue" / "00.jpg", new)
    data = bytearray(new.read_bytes())
    new.write_bytes(data + b"\0")  # another file, the same picture
    return new.unlink


def _relabel(folder: Path) -> Callable[[], object]:
    one, other = folder / "red" / "00.jpg", folder / "blue" / "x.jpg"
    one.rename(other)
    return lambda: other.rename(one)


def _swap_labels(folder: Path) -> Callable[[], object]:
    """Between two training pictures, so that no count changes."""
    sides = read_split(next(Path("runs").glob("*/split.json")))

    def trained_on(name: str) -> Path:
        files = sorted((folder / name).iterdir())
        return next(
            file
            for file in files
            if sides[hashlib.sha256(file.read_bytes()).hexdigest()] == "train"
        )

    red, blue = trained_on("red"), trained_on("blue")

    def swap() -> None:
        data = red.read_bytes()
        red.write_bytes(blue.read_bytes())
        blue.write_bytes(data)

    swap()
    return swap


def _rename(folder: Path) -> Callable[[], object]:
    one, other = folder / "red" / "00.jpg", folder / "red" / "zz.jpg"
    one.rename(other)
    return lambda: other.rename(one)


def _rename_class(folder: Path) -> Callable[[], object]:
    one, other = folder / "red", folder / "rot"
    one.rename(other)
    return lambda: other.rename(one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_add, r"is not what the run began with: .*red was \d+ and is \d+"),
        (_relabel, r"blue was \d+ and is \d+; .*red was \d+ and is \d+"),
        (_swap_labels, "as many pictures in every class, but other ones or with other labels"),
        (_rename, "the same pictures have other names, and so another order"),
        (
            _rename_class,
            r"head answers \['blue', 'green', 'red'\], .* has \['blue', 'green', 'rot'\]",
        ),
    ],
)
def test_other_pictures_or_labels_are_named_and_refused(
    change: Callable[[Path], Callable[[], object]], message: str, run: Path, own_pictures: Path
) -> None:
    undo = change(own_pictures)
    try:
        with pytest.raises(DatasetError, match=message):
            plan_resumption(run)
        if change is not _rename_class:
            assert plan_resumption(run, force=True).checkpoint is not None
    finally:
        undo()
    assert plan_resumption(run).checkpoint is not None


def test_damaged_checkpoint_gives_way_to_the_one_before(run: Path) -> None:
    older, newest = sorted((run / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])

    checkpoint = plan_resumption(run).checkpoint

    assert checkpoint is not None
    assert checkpoint.path.name == older.name


def test_run_of_an_older_tl_says_so(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    del facts["order"]
    (run / "run.json").write_text(json.dumps(facts))

    with pytest.raises(ConfigError, match="was not written by this version of tl"):
        plan_resumption(run)


def test_other_package_versions_are_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipelines.finetune

    record = read_record(run)
    write_record(run, dataclasses.replace(record, versions={**record.versions, "keras": "3.0.0"}))
    monkeypatch.setattr(pipelines.finetune, "_run", lambda *_: None)
    said: list[str] = []

    pipelines.finetune.resume(plan_resumption(run), None, said.append)

    assert any("warning: other versions" in line and "keras 3.0.0 then" in line for line in said)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_real_kills_leave_the_result_as_it_was(
    own_pictures: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    """SIGKILL while features are extracted, in the middle of an epoch, and in a checkpoint."""
    words = [sys.executable, "-m", "tl.cli", "finetune"]
    options = ["--dataset", str(own_pictures)]
    for key, value in {**settings, **SETTINGS, "training.epochs": 6}.items():
        options += ["--set", f"{key}={value}"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "unknown-scheme://store"}

    def command(arguments: list[str], where: Path) -> subprocess.Popen[str]:
        where.mkdir(exist_ok=True)
        return subprocess.Popen(
            [*words, *arguments], cwd=where, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run_of(where: Path) -> Path | None:
        return next(iter((where / "runs").glob("*/")), None)

    def kill_when(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 200
        while not holds():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    straight, killed = tmp_path / "straight", tmp_path / "killed"
    whole = command(options, straight)
    output = whole.communicate()[0]
    assert whole.returncode == 0, output

    def rehearsed() -> bool:
        run = run_of(killed)
        return run is not None and (run / "colour_pca.json").exists()

    kill_when(command(options, killed), rehearsed)
    run = run_of(killed)
    assert run is not None
    resume = ["--resume", run.name]

    def in_an_epoch() -> bool:
        log = run / "log.txt"
        return log.is_file() and "fine-tune all 2/6" in log.read_text()

    kill_when(command(resume, killed), in_an_epoch)
    known = {path.name for path in (run / "checkpoints").iterdir()}

    def in_a_checkpoint() -> bool:
        return any(
            path.name.startswith(".") and path.name not in known
            for path in (run / "checkpoints").iterdir()
        )

    kill_when(command(resume, killed), in_a_checkpoint)
    half = [path for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]
    assert half, "the kill came after the write"
    last = command(resume, killed)
    output = last.communicate()[0]
    assert last.returncode == 0, output

    straight_run = run_of(straight)
    assert straight_run is not None
    assert _metrics(run) == _metrics(straight_run)
    assert _weights(run) == _weights(straight_run)


def _metrics(run: Path) -> Any:
    return json.loads((run / "metrics.json").read_text())


def _weights(run: Path) -> dict[str, bytes]:
    import h5py

    found: dict[str, bytes] = {}

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("optimizer"):
            found[name] = np.asarray(node).tobytes()

    with h5py.File(run / "classifier.weights.h5") as file:
        file.visititems(note)
    assert len(found) > 10
    return found


@pytest.mark.soak
def test_notebook_goes_on_with_a_run(run: Path) -> None:
    import keras

    import tl

    said: list[str] = []
    result = tl.resume(run.name[:20], say=said.append)

    assert result.run.name == run.name
    assert isinstance(result.model, keras.Model)
    assert result.model.output_shape == (None, 3)
    assert result.exported is not None
    told = read_record(result.run).outcome["metrics"]["top_1_accuracy"]
    assert result.exported.metrics["top_1_accuracy"] == told
    assert json.loads((result.run / "metrics.json").read_text())["top_1_accuracy"] == told
    assert any(line.startswith("going on from") for line in said)
    with pytest.raises(ConfigError, match="is finished"):
        tl.resume(result.run)
