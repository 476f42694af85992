"""What a run tells the experiment store arrives there, later if need be, and never twice."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tl.errors import TrackingError
from tl.mlflow_sender import JOURNAL, PROGRESS, MlflowSender
from tl.run_folder import read_record
from tl.tracking import JournalTracker, Store, default_store, sync_journal


@pytest.fixture(scope="module")
def client(trained: Any) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{trained.home / 'mlflow.db'}")


@pytest.fixture(scope="module")
def run(client: Any, trained: Any) -> Any:
    (found,) = client.search_runs([client.get_experiment_by_name("colours").experiment_id])
    return found


def test_store_has_the_resolved_config(run: Any, trained: Any) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.run_name == trained.run.name
    parameters = run.data.params
    # With paths that mean the same wherever the run goes on.
    for key, value in read_record(trained.run).config.flat().items():
        settled = ("name", "data.problem", "model.backbone", "model.image_size", "augment.recipe")
        if key not in settled:
            assert parameters[key] == str(value), key
    assert parameters["data.problem"] == "single_label"
    assert parameters["name"] == "colours"
    assert parameters["model.backbone"] == "tl_small"
    assert parameters["model.image_size"] == "32"
    assert parameters["augment.recipe"] == "default"
    assert parameters["dataset_fingerprint"] == trained.plan.data.pictures.fingerprint
    counts = trained.plan.data.counts()
    for side in ("train", "val", "test"):
        assert parameters[f"pictures.{side}"] == str(sum(counts[side].values()))


def test_store_has_every_epoch_of_every_phase_at_its_step(
    client: Any, run: Any, trained: Any
) -> None:
    records = trained.result.records
    assert {record.phase for record in records} == {"probe", "head", "fine-tune last"}
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        for phase in ("probe", "head", "fine-tune last"):
            mine = [record for record in records if record.phase == phase]
            key = f"{phase.replace(' ', '_')}.{name}"
            history = client.get_metric_history(run.info.run_id, key)
            assert [(one.step, one.value) for one in history] == [
                (record.step, pytest.approx(record.metrics[name])) for record in mine
            ], key
    steps = [record.step for record in records]
    assert steps == sorted(set(steps))


def test_store_has_the_figures_of_the_exported_model(run: Any, trained: Any) -> None:
    metrics = trained.result.exported.metrics
    for key in ("top_1_accuracy", "macro_f1", "log_loss", "n_pictures"):
        assert run.data.metrics[f"test.{key}"] == pytest.approx(metrics[key])


def test_store_has_tags_that_lead_back_to_run_and_model(run: Any, trained: Any) -> None:
    tags = run.data.tags
    assert tags["tl.saved_model"] == str(trained.version)
    assert tags["tl.run_folder"] == str(trained.run)
    assert tags["tl.backbone"] == "tl_small"
    assert tags["tl.dataset_fingerprint"] == trained.plan.data.pictures.fingerprint
    assert tags["mlflow.source.git.commit"]


def test_store_has_the_artefacts(client: Any, run: Any, trained: Any, tmp_path: Path) -> None:
    names = {one.path for one in client.list_artifacts(run.info.run_id)}

    assert names >= {
        "config.json", "split.json", "class_counts.json", "versions.json", "unreadable.json",
        "curves.png", "confusion_matrix.png", "metrics.json", "log.txt",
    }  # fmt: skip
    config = json.loads(
        Path(client.download_artifacts(run.info.run_id, "config.json", tmp_path)).read_text()
    )
    assert config["training.epochs"] == 2
    assert config["model.backbone"] == "tl_small"
    counts = json.loads(
        (trained.home / "mlartifacts" / "colours")
        .glob("*/artifacts/class_counts.json")
        .__next__()
        .read_text()
    )
    assert counts == trained.plan.data.counts()


# From here on a small journal of our own.


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[Store, Any]]:
    """Function that gives a store and a client of it; one database, for making one takes 5 s."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("store")
    store = Store(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts")
    return lambda: (store, MlflowClient(store.uri))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write_run(tracker: JournalTracker, folder: Path) -> None:
    tracker.parameters({"training.epochs": 3, "long": "x" * 7000, "none": None})
    tracker.tags({"tl.model": "flowers"})
    for step in (10, 20):
        tracker.metrics({"head.loss": 1 / step}, step=step)
    (folder / "config.json").write_text("{}")
    tracker.artifact(folder / "config.json")
    tracker.artifact(folder / "config.json", "deep")


def content(client: Any, run_id: str) -> dict[str, Any]:
    """Everything the store has of a run but its id."""
    run = client.get_run(run_id)
    return {
        "status": run.info.status,
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key.startswith("tl.")},
        "loss": [
            (one.step, one.value, one.timestamp)
            for one in client.get_metric_history(run_id, "head.loss")
        ],
        "artefacts": [one.path for one in client.list_artifacts(run_id)],
    }


def runs_of(client: Any, experiment: str) -> list[str]:
    found = client.get_experiment_by_name(experiment)
    return [run.info.run_id for run in client.search_runs([found.experiment_id])] if found else []


def test_unreachable_server_loses_nothing_and_holds_nobody_up(
    tmp_path: Path, stores: Callable[[], tuple[Store, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    folder = tmp_path / "run"
    folder.mkdir()
    began = time.monotonic()
    tracker = JournalTracker(folder, Store(uri, None), "lost", "run-1")
    write_run(tracker, folder)
    with pytest.raises(TrackingError, match="did not take the whole run.*tl track sync") as caught:
        tracker.finish("FINISHED")
    assert time.monotonic() - began < 30
    assert uri in str(caught.value)
    assert len((folder / JOURNAL).read_text().splitlines()) == 8

    store, client = stores()
    first = sync_journal(folder, store)
    seen = content(client, first)
    again = sync_journal(folder, store)

    assert again == first
    assert runs_of(client, "lost") == [first]
    assert content(client, first) == seen
    assert seen["status"] == "FINISHED"
    assert [(step, value) for step, value, _ in seen["loss"]] == [(10, 0.1), (20, 0.05)]
    assert seen["params"]["training.epochs"] == "3"
    assert len(seen["params"]["long"]) == 6000
    assert seen["artefacts"] == ["config.json", "deep"]


def test_what_is_sent_at_once_and_what_is_sent_later_are_the_same(
    tmp_path: Path, stores: Callable[[], tuple[Store, Any]]
) -> None:
    store, client = stores()
    folder = tmp_path / "run"
    folder.mkdir()
    tracker = JournalTracker(folder, store, "twice", "run-2")
    write_run(tracker, folder)
    tracker.finish("KILLED")
    (first,) = runs_of(client, "twice")

    copy = tmp_path / "copy"
    copy.mkdir()
    journal = (folder / JOURNAL).read_text().replace('"twice"', '"later"')
    (copy / JOURNAL).write_text(journal)
    second = sync_journal(copy, store)

    assert content(client, second) == content(client, first)
    assert content(client, first)["status"] == "KILLED"


@pytest.mark.parametrize("sent", range(9))
def test_sending_that_was_killed_goes_on_without_a_second_run(
    sent: int, tmp_path: Path, stores: Callable[[], tuple[Store, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Killed after line ``sent`` reached the store and before that was noted down."""
    store, client = stores()
    folder = tmp_path / "run"
    folder.mkdir()
    experiment = f"killed-{sent}"
    tracker = JournalTracker(folder, Store("http://127.0.0.1:9", None), experiment, "run")
    write_run(tracker, folder)
    with contextlib.suppress(TrackingError):
        tracker.finish("FINISHED")
    (folder / PROGRESS).unlink(missing_ok=True)

    class Killed(BaseException):
        pass

    notes = MlflowSender._note
    count = 0

    def note_some(self: Any, number: int, place: int) -> None:
        nonlocal count
        count += 1
        if count == sent:
            raise Killed
        notes(self, number, place)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowSender, "_note", note_some)
        with contextlib.suppress(Killed):
            sync_journal(folder, store)
    run_id = sync_journal(folder, store)

    assert runs_of(client, experiment) == [run_id]
    seen = content(client, run_id)
    assert seen["status"] == "FINISHED"
    assert [step for step, _, _ in seen["loss"]] == [10, 20]
    assert seen["artefacts"] == ["config.json", "deep"]


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from tl.tracking import JournalTracker, Store

folder = Path(sys.argv[1])
tracker = JournalTracker(folder, Store("http://127.0.0.1:9", None), "dead", "run")
tracker.metrics({"head.loss": 0.5}, step=1)
if sys.argv[2] == "in the middle of a line":
    with (folder / "tracking.jsonl").open("a") as journal:
        journal.write('{"kind": "metrics", "val')
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("moment", ["between lines", "in the middle of a line"])
def test_run_that_was_killed_ends_as_killed_and_one_that_runs_is_left_alone(
    moment: str, tmp_path: Path, stores: Callable[[], tuple[Store, Any]]
) -> None:
    store, client = stores()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path), moment],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        with pytest.raises(TrackingError, match="is still running"):
            sync_journal(tmp_path, store)
        process.kill()

    run_id = sync_journal(tmp_path, store)

    seen = content(client, run_id)
    assert seen["status"] == "KILLED"
    assert [value for _, value, _ in seen["loss"]] == [0.5]
    assert seen["ended"] == seen["loss"][0][2]
    assert sync_journal(tmp_path, store) == run_id
    assert content(client, run_id) == seen


def test_artefact_that_is_gone_does_not_stop_the_rest(
    tmp_path: Path, stores: Callable[[], tuple[Store, Any]]
) -> None:
    store, client = stores()
    tracker = JournalTracker(tmp_path, Store("http://127.0.0.1:9", None), "tidied", "run")
    write_run(tracker, tmp_path)
    with pytest.raises(TrackingError):
        tracker.finish("FINISHED")
    shutil.move(tmp_path / "config.json", tmp_path / "elsewhere.json")

    run_id = sync_journal(tmp_path, store)

    assert content(client, run_id)["artefacts"] == []
    assert len(content(client, run_id)["loss"]) == 2


def test_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="has no tracking.jsonl; give the folder of a run"):
        sync_journal(tmp_path, Store("sqlite:///unused.db", None))


def test_sync_to_an_unreachable_server_says_so(tmp_path: Path) -> None:
    begin = {"kind": "begin", "experiment": "e", "run_name": "r", "time_ms": 1}
    (tmp_path / JOURNAL).write_text(json.dumps(begin) + "\n")

    with pytest.raises(TrackingError, match="http://127.0.0.1:.* did not take the run"):
        sync_journal(tmp_path, Store(f"http://127.0.0.1:{free_port()}", None))


def test_store_is_the_environments_or_sqlite_here(tmp_path: Path) -> None:
    named = default_store({"MLFLOW_TRACKING_URI": "http://tracking:5000"}, tmp_path)
    assert named == Store("http://tracking:5000", None)

    local = default_store({}, tmp_path)
    assert local.uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert local.artifacts == tmp_path / "mlartifacts"
