"""A run as a whole: what it leaves, and how it ends when something goes wrong."""

import errno
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.errors import ExportError, Interrupted, TrainingError
from tl.training.stored_weights import save_weights


@pytest.fixture
def plan(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plan of the shared run, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return trained.plan


@pytest.fixture(autouse=True)
def no_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses at once: making a real one takes seconds a test."""
    if "plan" in request.fixturenames:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")


def the_run() -> Path:
    (run,) = Path("runs").iterdir()
    return run


def record(run: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run / "run.json").read_text())
    return facts


def journal(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "tracking.jsonl").read_text().splitlines()]


def test_run_folder_has_what_the_run_was(trained: Any) -> None:
    facts = record(trained.run)

    assert facts["state"] == "finished"
    output = str(trained.home / "models")  # absolute: `tl export` may be typed anywhere
    assert facts["config"] == {**trained.plan.config.to_dict(), "output": output}
    assert facts["outcome"]["saved_model"] == f"{output}/colours/1"
    assert facts["outcome"]["measured_on"] == "test"
    assert (
        facts["outcome"]["metrics"]["top_1_accuracy"]
        == (trained.result.exported.metrics["top_1_accuracy"])
    )
    assert facts["weights"]["sha256"]
    log = (trained.run / "log.txt").read_text()
    assert len(
        re.findall(r"^.*(?:probe|head|fine-tune last) +\d+/\d+ .*val_loss", log, re.MULTILINE)
    ) == len(trained.result.records)
    assert {path.name for path in trained.home.iterdir()} == {
        "models", "runs", "mlflow.db", "mlartifacts"
    }  # fmt: skip
    assert not [path for path in trained.run.iterdir() if path.name.startswith(".")]


def test_run_keeps_its_colours_and_a_sheet_of_views(trained: Any) -> None:
    from PIL import Image

    from tl.augment.pca_jitter import fit_colour_pca
    from tl.data.batches import decoded_pictures

    facts = json.loads((trained.run / "colour_pca.json").read_text())
    pca = fit_colour_pca(decoded_pictures(trained.plan.data.side("train")))
    assert facts["eigenvalues"] == list(pca.eigenvalues)
    assert facts["eigenvectors"] == [list(row) for row in pca.eigenvectors]
    with Image.open(trained.run / "augmentation.png") as sheet:
        assert sheet.width > 13 * 100
    told = [event for event in journal(trained.run) if event["kind"] == "artifact"]
    names = {Path(event["path"]).name for event in told}
    assert {"colour_pca.json", "augmentation.png"} <= names


def test_stored_weights_are_those_of_the_model(trained: Any) -> None:
    from tl.classifier import build_classifier
    from tl.zoo.backbones import find_backbone

    classifier = build_classifier(
        find_backbone("tl_small"), n_classes=3, image_size=(32, 32), weights=None, dropout=0.0
    )
    classifier.model.load_weights(trained.run / "classifier.weights.h5")

    mine, its = classifier.model.get_weights(), trained.result.model.get_weights()
    assert len(mine) == len(its)
    for one, other in zip(mine, its, strict=True):
        assert np.array_equal(one, other)


def test_broken_export_fails_with_the_first_model_and_before_any_epoch(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.export
    from pipelines.finetune import finetune

    monkeypatch.setattr("pipelines.publish.LONG_S", 0.0)

    def broken(*_: Any, **__: Any) -> None:
        raise ExportError("this network cannot be exported")

    monkeypatch.setattr(pipelines.export, "write_saved_model", broken)
    with pytest.raises(ExportError, match="cannot be exported"):
        finetune(plan)

    run = the_run()
    assert record(run)["state"] == "failed"
    assert "fine-tune" not in (run / "log.txt").read_text()
    assert not Path("models").exists()
    assert [line["state"] for line in journal(run) if line["kind"] == "end"] == ["FAILED"]
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_export_is_rehearsed_once_and_only_before_long_training(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.publish
    from tl.training.devices import ONE_CPU

    rehearsed: list[Path] = []
    monkeypatch.setattr(pipelines.publish, "_rehearse", lambda run, *_: rehearsed.append(run))
    watch = pipelines.publish.Stopwatch()
    for run in (trained.run, trained.home):  # the second has no weights yet
        rehearse = pipelines.publish.Rehearsal(run, ONE_CPU, print, watch, 90, is_done=False)
        for seconds in (119.0, 120.0, 3600.0):
            rehearse(seconds)

    assert rehearsed == [trained.run]


@pytest.fixture
def no_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what other tests show and takes seconds."""
    import pipelines.publish

    monkeypatch.setattr(pipelines.publish, "_rehearse", lambda *_: None)


@pytest.mark.usefixtures("no_rehearsal")
@pytest.mark.parametrize(
    ("error", "raised", "state", "message"),
    [
        (KeyboardInterrupt(), Interrupted, "stopped", "stopped: the best weights.*tl export runs/"),
        (
            OSError(errno.ENOSPC, "No space left"),
            TrainingError,
            "failed",
            "No space left.*tl finetune --resume",
        ),
        (ZeroDivisionError(), ZeroDivisionError, "failed", None),
    ],
    ids=["ctrl-c", "full disk", "bug"],
)
def test_run_that_ends_early_is_marked_and_keeps_its_weights(
    plan: Any, error: BaseException, raised: type[BaseException], state: str, message: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import pipelines.finetune

    def train(plan: Any, classifier: Any, folder: Path, *_: Any) -> Any:
        save_weights(classifier.model, folder / "classifier.weights.h5")
        raise error

    monkeypatch.setattr(pipelines.finetune, "_train", train)
    with pytest.raises(raised, match=message):
        pipelines.finetune.finetune(plan)

    run = the_run()
    assert record(run)["state"] == state
    assert (run / "classifier.weights.h5").is_file()
    (end,) = [line["state"] for line in journal(run) if line["kind"] == "end"]
    assert end == {"stopped": "KILLED", "failed": "FAILED"}[state]


def test_run_stopped_before_its_first_epoch_has_nothing_to_publish(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.finetune
    from pipelines.export import export_run

    def feed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipelines.finetune, "make_feed", feed)
    with pytest.raises(Interrupted, match="stopped: nothing is trained yet"):
        pipelines.finetune.finetune(plan)

    with pytest.raises(ExportError, match="stopped before its first epoch"):
        export_run(the_run(), plan.data)
    assert not Path("models").exists() or not list(Path("models").rglob("saved_model.pb"))


@pytest.mark.usefixtures("no_rehearsal")
def test_working_directory_that_cannot_be_written_is_named(plan: Any) -> None:
    from pipelines.finetune import finetune

    Path("runs").write_text("a file")

    with pytest.raises(TrainingError, match="cannot write the run to .*runs"):
        finetune(plan)


@pytest.mark.slow
@pytest.mark.usefixtures("no_rehearsal")
def test_unreachable_store_ends_with_the_model_and_a_warning_within_seconds(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from pipelines.finetune import finetune
    from tl.tracking import default_store, sync_journal

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    result = finetune(plan)

    assert result.exported is not None
    assert result.exported.path.is_dir()
    assert result.tracking_fault is not None
    assert f"http://127.0.0.1:{port}" in result.tracking_fault
    assert f"tl track sync {result.run}" in result.tracking_fault
    assert result.seconds["track"] < 15
    assert time.monotonic() - began < 60

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    store = default_store()
    run = MlflowClient(store.uri).get_run(sync_journal(result.run, store))
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test.top_1_accuracy"] == (result.exported.metrics["top_1_accuracy"])


def test_output_is_checked_while_planning(
    pictures: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    from pipelines.plan import make_plan
    from tl.config_reading import read_config

    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", Path("/proc")):
        flags = {"dataset": str(pictures), **settings, "output": str(output)}
        with pytest.raises(ExportError, match="cannot write to"):
            make_plan(read_config(None, (), flags))
