"""What a run tells the experiment store arrives there, later if need be, and never twice."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tl.tracking.small_runs import (
    NOWHERE,
    Killed,
    KillingClient,
    content,
    free_port,
    offline,
    runs_of,
    write_run,
    write_whole_run,
)
from tl import mlflow_sender
from tl.errors import TrackingError
from tl.journal import JOURNAL
from tl.tracking import JournalTracker, Store, default_store, sync_journal


def test_unreachable_server_loses_nothing_and_holds_nobody_up(
    folder: Path, store: Store, client: Any
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    tracker = JournalTracker(folder, Store(uri, None), "lost", "run-1")
    write_run(tracker, folder)
    with pytest.raises(TrackingError, match="did not take the whole run.*tl track sync") as caught:
        tracker.finish("FINISHED")
    assert time.monotonic() - began < 30
    assert uri in str(caught.value)
    assert len((folder / JOURNAL).read_text().splitlines()) == 8

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
    folder: Path, tmp_path: Path, store: Store, client: Any
) -> None:
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


CALLS = range(1, 20)


@pytest.mark.parametrize("calls", CALLS)
def test_sending_that_was_killed_goes_on_without_a_second_of_anything(
    calls: int, folder: Path, store: Store, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each call that changed the store, and before that was noted down."""
    name = f"killed-{calls}"
    journal = offline(folder, name)
    write_whole_run(journal, folder, name)
    journal.finish("FINISHED")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_sender, "mlflow_client", lambda uri: KillingClient(client, calls))
        with pytest.raises(Killed):
            sync_journal(folder, store)
    run_id = sync_journal(folder, store)

    assert runs_of(client, name) == [run_id]
    seen = content(client, run_id)
    assert seen["status"] == "FINISHED"
    assert [step for step, _, _ in seen["loss"]] == [10, 20]
    assert seen["artefacts"] == ["config.json", "deep", "images"]
    assert len(seen["images"]) == 2  # the picture and its thumbnail
    assert seen["datasets"] == [f"{'f' * 28}-train", f"{'f' * 28}-val"]
    assert seen["models"] == 1
    (version,) = client.search_model_versions(f"name = '{name}'")
    assert version.tags["tl.saved_model_version"] == "1"
    experiment = client.get_experiment_by_name(name).experiment_id
    assert len(client.search_logged_models([experiment])) == 1


def test_there_are_no_more_calls_than_those_that_were_killed_at(
    folder: Path, store: Store, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = KillingClient(client, 0)
    monkeypatch.setattr(mlflow_sender, "mlflow_client", lambda uri: counting)
    journal = offline(folder, "counted")
    write_whole_run(journal, folder, "counted")
    journal.finish("FINISHED")
    sync_journal(folder, store)
    assert -counting.left == max(CALLS)


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
    moment: str, tmp_path: Path, store: Store, client: Any
) -> None:
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
    folder: Path, store: Store, client: Any
) -> None:
    journal = offline(folder, "tidied")
    write_whole_run(journal, folder, "tidied")
    journal.finish("FINISHED")
    for name in ("config.json", "curves.png", "models"):
        shutil.move(folder / name, folder / f"elsewhere-{name}")

    run_id = sync_journal(folder, store)

    seen = content(client, run_id)
    assert (seen["artefacts"], seen["images"], seen["models"]) == ([], [], 0)
    assert len(seen["loss"]) == 2
    assert client.search_model_versions("name = 'tidied'") == []


def test_runs_that_a_slow_server_made_twice_are_one_in_the_end(
    folder: Path, store: Store, client: Any
) -> None:
    """A request that was given up may have been carried out, and so may its repetition."""
    journal = offline(folder, "twins")
    begin = json.loads((folder / JOURNAL).read_text())
    experiment = client.create_experiment("twins")
    for _ in range(2):
        client.create_run(experiment, start_time=begin["time_ms"], tags={"tl.run": "run"})
    write_run(journal, folder)
    journal.finish("FINISHED")

    run_id = sync_journal(folder, store)

    assert runs_of(client, "twins") == [run_id]
    assert content(client, run_id)["status"] == "FINISHED"


# Folds of a cross-validation lie below a run that sums them up.

FOLDS = {"digest": "d" * 32, "name": "flowers in 2 folds"}


def write_fold(folder: Path, experiment: str, fold: int, accuracy: float) -> Path:
    journal = offline(folder / f"fold-{fold}", experiment, f"fold-{fold}", FOLDS)
    journal.metrics({"test.top_1_accuracy": accuracy, "head.loss": 1.0}, step=7)
    journal.finish("FINISHED")
    return folder / f"fold-{fold}"


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 0, 1, 0)])
def test_folds_have_one_parent_with_their_mean_whatever_order_they_come_in(
    order: tuple[int, ...], tmp_path: Path, store: Store, client: Any
) -> None:
    experiment = f"folds-{'-'.join(map(str, order))}"
    folders = [write_fold(tmp_path, experiment, fold, 0.7 + 0.2 * fold) for fold in (0, 1)]

    children = {sync_journal(folders[fold], store) for fold in order}

    (parent,) = set(runs_of(client, experiment)) - children
    assert len(children) == 2
    for child in children:
        assert client.get_run(child).data.tags["mlflow.parentRunId"] == parent
    run = client.get_run(parent)
    assert (run.info.run_name, run.info.status) == ("flowers in 2 folds", "FINISHED")
    assert run.data.metrics == {
        "test.top_1_accuracy": pytest.approx(0.8),
        "test.top_1_accuracy.deviation": pytest.approx(0.02**0.5),
        "folds_finished": 2,
    }
    assert len(client.get_metric_history(parent, "folds_finished")) <= 2


def test_parent_of_folds_is_not_mixed_with_another_cross_validation(
    tmp_path: Path, store: Store, client: Any
) -> None:
    first = write_fold(tmp_path / "a", "two-folds", 0, 0.5)
    journal = offline(tmp_path / "b", "two-folds", "other", {"digest": "e" * 32, "name": "other"})
    journal.finish("FINISHED")
    parents = {
        client.get_run(sync_journal(folder, store)).data.tags["mlflow.parentRunId"]
        for folder in (first, tmp_path / "b")
    }
    assert len(parents) == 2


# What cannot be sent at all.


def test_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="has no tracking.jsonl; give the folder of a run"):
        sync_journal(tmp_path, Store("sqlite:///unused.db", None))


def test_sync_to_an_unreachable_server_says_so(tmp_path: Path) -> None:
    offline(tmp_path, "e").finish("FINISHED")
    with pytest.raises(
        TrackingError,
        match="http://127.0.0.1:9 did not take the run: nothing answers at that address",
    ):
        sync_journal(tmp_path, Store(NOWHERE, None))


def test_store_is_the_environments_or_sqlite_here(tmp_path: Path) -> None:
    named = default_store({"MLFLOW_TRACKING_URI": "http://tracking:5000"}, tmp_path)
    assert named == Store("http://tracking:5000", None)

    local = default_store({}, tmp_path)
    assert local.uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert local.artifacts == tmp_path / "mlartifacts"
