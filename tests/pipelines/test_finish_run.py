"""Exports that no journal names, of runs that were killed and of `tl export`, reach the store."""

import contextlib
import datetime
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.finish_run import looked_for_if_killed, tell_of_exports, unsent_runs
from pipelines.promote import promote
from tl.journal import JOURNAL, Journal, last_event
from tl.mlflow_sender import PROGRESS, mlflow_client
from tl.run_folder import read_record
from tl.tracking import default_store, sync_journal


@pytest.fixture
def home(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    redirect_export: Callable[[Path, Path], None], copy_store: Callable[[Path], None],
) -> Path:  # fmt: skip
    """The working directory as a kill between export and logging leaves it."""
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(trained.run, tmp_path / "runs" / trained.run.name)
    (run / "report.html").unlink()  # it would have come next
    redirect_export(run, tmp_path / "models")
    shutil.copytree(trained.version, tmp_path / "models" / "colours" / "1")
    copy_store(tmp_path)
    facts = json.loads((run / "run.json").read_text())
    facts |= {"state": "running", "outcome": {}}
    (run / "run.json").write_text(json.dumps(facts))
    cut_before_the_outcome(run)
    return tmp_path


def cut_before_the_outcome(run: Path) -> None:
    """Leave of a journal what was told before the run's end, under a name of its own."""
    kept = []
    for line in (run / JOURNAL).read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "tags" and "tl.kept_epoch" in event["values"]:
            break
        if event["kind"] != "image":
            kept.append(json.dumps(event | {"run_name": "killed"}))
    (run / JOURNAL).write_text("\n".join(kept) + '\n{"kind": "metr')
    (run / PROGRESS).unlink()


def stored(run_id: str) -> Any:
    return mlflow_client(default_store().uri).get_run(run_id)


def test_run_that_was_killed_after_its_export_is_found_and_finished_whole(
    home: Path, trained: Any
) -> None:
    (folder,) = unsent_runs()
    assert folder.name == trained.run.name
    (version,) = tell_of_exports(folder)
    assert version == home / "models" / "colours" / "1"

    run = stored(sync_journal(folder, default_store()))

    assert run.info.status == "FINISHED"
    metrics = trained.result.exported.metrics
    assert run.data.metrics["test.top_1_accuracy"] == metrics["top_1_accuracy"]
    low, high = metrics["top_1_accuracy_interval"]
    assert run.data.metrics["test.top_1_accuracy.low"] == low
    assert run.data.metrics["test.top_1_accuracy.high"] == high
    assert run.data.tags["tl.headline"] == "test.top_1_accuracy"
    assert len(run.outputs.model_outputs) == 1
    names = {one.path for one in mlflow_client(default_store().uri).list_artifacts(run.info.run_id)}
    assert {"report.html", "metrics.json", "confusion_matrix.png", "predictions.parquet"} <= names
    found = mlflow_client(default_store().uri).search_model_versions("name = 'colours'")
    assert [one.run_id for one in found].count(run.info.run_id) == 1

    record = read_record(folder)
    assert record.state == "finished"
    assert record.outcome["saved_model"] == str(version)
    assert record.outcome["headline"] == "top_1_accuracy"
    assert str(metrics["n_pictures"]) in (folder / "report.html").read_text()
    assert unsent_runs() == []
    assert tell_of_exports(folder) == []


def test_killed_run_without_an_export_ends_as_killed(home: Path) -> None:
    shutil.rmtree(home / "models")
    (folder,) = unsent_runs()
    assert tell_of_exports(folder) == []
    assert stored(sync_journal(folder, default_store())).info.status == "KILLED"
    assert read_record(folder).state == "running"
    assert unsent_runs() == []


def test_run_that_goes_on_is_left_alone(home: Path, trained: Any) -> None:
    journal = Journal(home / "runs" / trained.run.name)
    assert unsent_runs() == []
    assert tell_of_exports(home / "runs" / trained.run.name) == []
    journal.close()


def test_promoting_a_version_of_a_killed_run_finishes_the_run_first(
    home: Path, trained: Any
) -> None:
    done = promote("models/colours/1", "champion")
    assert done.alias_fault is None
    client = mlflow_client(default_store().uri)
    version = client.get_model_version_by_alias("colours", "champion")
    assert client.get_run(version.run_id).info.status == "FINISHED"
    assert client.get_run(version.run_id).data.metrics["test.top_1_accuracy"] > 0
    assert read_record(home / "runs" / trained.run.name).state == "finished"


def test_further_export_of_a_run_is_a_version_of_the_registry_and_can_be_promoted(
    home: Path, trained: Any
) -> None:
    folder = home / "runs" / trained.run.name
    tell_of_exports(folder)
    run_id = sync_journal(folder, default_store())
    second = home / "models" / "colours" / "2"
    shutil.move(home / "models" / "colours" / "1", second)
    facts = json.loads((second / "assets.extra" / "tl.json").read_text())
    facts["metrics"]["top_1_accuracy"] = 0.125  # the dataset has changed since
    (second / "assets.extra" / "tl.json").write_text(json.dumps(facts))

    assert unsent_runs() == [Path("runs") / folder.name]
    assert tell_of_exports(folder) == [second]
    assert sync_journal(folder, default_store()) == run_id

    run = stored(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test.top_1_accuracy"] == 0.125
    assert len(run.outputs.model_outputs) == 2
    assert promote(trained.run.name, "champion").promotion.version == 2


def test_number_of_a_deleted_version_that_is_given_again_is_told_of_again(
    home: Path, trained: Any
) -> None:
    folder = home / "runs" / trained.run.name
    tell_of_exports(folder)
    sync_journal(folder, default_store())
    assert unsent_runs() == []
    path = home / "models" / "colours" / "1" / "assets.extra" / "tl.json"
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    path.write_text(json.dumps({**json.loads(path.read_text()), "exported": later.isoformat()}))
    assert unsent_runs() == [Path("runs") / folder.name]
    for damaged in ("yesterday", 7, None):
        facts = {**json.loads(path.read_text()), "exported": damaged}
        path.write_text(json.dumps(facts))
        assert unsent_runs() == []


def test_export_of_a_finished_run_that_is_killed_after_publishing_is_found(
    home: Path, trained: Any
) -> None:
    folder = home / "runs" / trained.run.name
    tell_of_exports(folder)
    run_id = sync_journal(folder, default_store())
    assert unsent_runs() == []

    looked_for_if_killed(folder).__enter__()  # killed within
    shutil.copytree(home / "models" / "colours" / "1", home / "models" / "colours" / "2")

    assert unsent_runs() == [Path("runs") / folder.name]
    assert [path.name for path in tell_of_exports(folder)] == ["2"]
    assert sync_journal(folder, default_store()) == run_id
    assert stored(run_id).info.status == "FINISHED"
    assert len(stored(run_id).outputs.model_outputs) == 2
    assert unsent_runs() == []


@pytest.mark.parametrize("ends", ["killed", "fails"])
def test_export_of_a_finished_run_that_ends_before_publishing_leaves_it_finished(
    home: Path, trained: Any, ends: str
) -> None:
    folder = home / "runs" / trained.run.name
    tell_of_exports(folder)
    with contextlib.suppress(RuntimeError), contextlib.ExitStack() as stack:
        stack.enter_context(looked_for_if_killed(folder))
        if ends == "fails":
            raise RuntimeError
        stack.pop_all()

    assert tell_of_exports(folder) == []
    assert stored(sync_journal(folder, default_store())).info.status == "FINISHED"
    assert last_event(folder)["state"] == "FINISHED"


def test_stopped_run_stays_stopped_when_it_is_exported(home: Path, trained: Any) -> None:
    folder = home / "runs" / trained.run.name
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"state": "stopped"}))
    journal = Journal(folder)
    journal.finish("KILLED")

    assert unsent_runs() == [Path("runs") / folder.name]
    assert len(tell_of_exports(folder)) == 1
    assert stored(sync_journal(folder, default_store())).info.status == "KILLED"
    assert read_record(folder).state == "stopped"
    assert read_record(folder).outcome["saved_model"] == str(home / "models" / "colours" / "1")


def test_version_of_a_run_elsewhere_is_registered_as_a_model_that_can_be_loaded(
    home: Path, trained: Any
) -> None:
    shutil.rmtree(home / "runs")
    assert promote("models/colours/1", "champion").alias_fault is None
    client = mlflow_client(default_store().uri)
    version = client.get_model_version_by_alias("colours", "champion")
    assert version.tags["tl.saved_model"] == str(home / "models" / "colours" / "1")
    assert "MLmodel" in {
        path.name for path in Path(version.source.removeprefix("file://")).iterdir()
    }
    promote("models/colours/1", "canary")
    assert client.get_model_version_by_alias("colours", "canary").version == version.version


KILLED = """
import os, signal, sys
import pipelines.finetune as finetune
from pipelines.plan import make_plan
from tl.config_reading import read_config

finetune.report_run = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
settings = [f"{key}={value}" for key, value in eval(sys.argv[2]).items()]
finetune.finetune(make_plan(read_config(None, settings, {"dataset": sys.argv[1]})))
"""


@pytest.mark.slow
def test_run_that_is_really_killed_after_its_export_is_finished_by_a_bare_sync(
    pictures: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from tl.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(pictures), repr(settings)], check=False
    )
    assert done.returncode == -9
    (folder,) = unsent_runs()
    with pytest.raises(SystemExit) as ended:
        main(["track", "sync"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "had published models/colours/1" in out
    run = stored(json.loads((folder / PROGRESS).read_text())["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test.top_1_accuracy"] > 0
    assert len(run.outputs.model_outputs) == 1
