"""From a run to a label and back, with the experiment store; whatever interrupts it is finished."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.promote import finish_interrupted, promote, roll_back
from tl.errors import ConfigError, PromotionError
from tl.promotion import begin, owed_aliases, read_journal, read_labels, serve_label
from tl.tracking import Store, default_store

NOWHERE = Store("http://127.0.0.1:9", None)


@pytest.fixture
def home(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    redirect_export: Callable[[Path, Path], None], copy_store: Callable[[Path], None],
) -> Path:  # fmt: skip
    """A working directory of its own: the finished run, two versions, and the store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = shutil.copytree(trained.run, tmp_path / "runs" / trained.run.name)
    redirect_export(run, tmp_path / "models")
    for version in ("1", "2"):
        shutil.copytree(trained.version, tmp_path / "models" / "colours" / version)
    facts = json.loads((run / "run.json").read_text())
    facts["outcome"]["saved_model"] = str(tmp_path / "models" / "colours" / "1")
    (run / "run.json").write_text(json.dumps(facts))
    copy_store(tmp_path)
    return tmp_path


def alias(name: str = "champion") -> Any:
    from mlflow import MlflowClient

    uri = default_store().uri
    return MlflowClient(uri, registry_uri=uri).get_model_version_by_alias("colours", name)


def labelled(label: str) -> list[str]:
    """Names of the runs that MLflow shows as having a label."""
    from mlflow import MlflowClient

    client = MlflowClient(default_store().uri)
    experiment = client.get_experiment_by_name("colours").experiment_id
    found = client.search_runs([experiment], f"tags.`tl.label.{label}` != ''")
    return [run.info.run_name for run in found]


def test_label_alias_and_history_go_together_and_back(home: Path, trained: Any) -> None:
    done = promote(trained.run.name, "champion")
    assert done.alias_fault is None
    assert done.promotion.run == trained.run.name
    assert read_labels(home / "models") == {"colours": {"champion": 1}}
    assert alias().tags["tl.saved_model_version"] == "1"
    assert labelled("champion") == [trained.run.name]  # a column of the table of runs

    promote("models/colours/2", "champion")
    assert read_labels(home / "models") == {"colours": {"champion": 2}}
    assert alias().tags["tl.saved_model_version"] == "2"

    back = roll_back(home / "models" / "colours", "champion")
    assert (back.promotion.before, back.promotion.version) == (2, 1)
    assert read_labels(home / "models") == {"colours": {"champion": 1}}
    assert alias().tags["tl.saved_model_version"] == "1"
    assert read_journal(home / "models") is None


def test_store_that_is_away_does_not_keep_the_label_from_being_served(
    home: Path, trained: Any
) -> None:
    done = promote(trained.run.name, "champion", NOWHERE)
    assert done.alias_fault is not None
    assert "127.0.0.1:9" in done.alias_fault
    assert read_labels(home / "models") == {"colours": {"champion": 1}}
    assert owed_aliases(home / "models") == [done.promotion]

    # A bad version can be taken back while the store is still away.
    promote("models/colours/2", "champion", NOWHERE)
    back = roll_back(home / "models" / "colours", "champion", NOWHERE)
    assert back.alias_fault is not None
    assert read_labels(home / "models") == {"colours": {"champion": 1}}
    assert owed_aliases(home / "models") == [back.promotion]  # the newest order only

    said: list[str] = []
    finish_interrupted(home / "models", said.append, tell_store=False)  # as `tl serve` does
    assert said == []
    finish_interrupted(home / "models", said.append)  # the store is back
    assert said == ["MLflow knows now that colours 1 is champion"]
    assert alias().tags["tl.saved_model_version"] == "1"
    assert owed_aliases(home / "models") == []
    finish_interrupted(home / "models", said.append)
    assert len(said) == 1


def test_crash_after_the_journal_is_finished_by_the_next_command(home: Path) -> None:
    begin(home / "models", "colours", "champion", 2, "")
    promote("models/colours/1", "canary")
    assert read_labels(home / "models") == {"colours": {"champion": 2, "canary": 1}}
    assert alias().tags["tl.saved_model_version"] == "2"
    assert alias("canary").tags["tl.saved_model_version"] == "1"


def test_crash_whose_version_was_deleted_is_taken_back(home: Path) -> None:
    begin(home / "models", "colours", "champion", 2, "")
    shutil.rmtree(home / "models" / "colours" / "2")
    said: list[str] = []
    finish_interrupted(home / "models", said.append)
    assert "no version 2, it may have been deleted" in said[0]
    assert read_journal(home / "models") is None
    assert read_labels(home / "models") == {}


def test_crash_after_the_label_whose_version_was_deleted_goes_back(home: Path) -> None:
    promote("models/colours/1", "champion", NOWHERE)
    promotion = begin(home / "models", "colours", "champion", 2, "")
    serve_label(home / "models", promotion)
    shutil.rmtree(home / "models" / "colours" / "2")
    said: list[str] = []
    finish_interrupted(home / "models", said.append, tell_store=False)
    assert "champion is as it was before" in said[0]
    assert read_labels(home / "models") == {"colours": {"champion": 1}}
    assert read_journal(home / "models") is None


def test_deleted_and_absent_versions_are_refused(home: Path, trained: Any) -> None:
    shutil.rmtree(home / "models" / "colours" / "1")
    with pytest.raises(PromotionError, match="has been deleted; tl export .* writes it again"):
        promote(trained.run.name, "champion")
    with pytest.raises(ConfigError, match="no run 'none' below"):
        promote("none", "champion")
    with pytest.raises(ConfigError, match="has the versions 2: name one, as in models/colours/2"):
        promote("models/colours", "champion")
    facts = json.loads((home / "runs" / trained.run.name / "run.json").read_text())
    facts["outcome"], facts["state"] = {}, "stopped"
    (home / "runs" / trained.run.name / "run.json").write_text(json.dumps(facts))
    with pytest.raises(PromotionError, match="is stopped and has no exported model; tl export"):
        promote(trained.run.name, "champion")
    assert read_labels(home / "models") == {}


@pytest.mark.parametrize("target", ["models/colours/9", "./models/colours/9"])
def test_folder_of_a_version_that_is_gone_is_no_name_of_a_run(home: Path, target: str) -> None:
    with pytest.raises(PromotionError, match=r"has no version 9, .*deleted; there are 1, 2"):
        promote(target, "champion")


def test_every_command_finishes_what_was_interrupted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tl.cli.main import main

    begin(home / "models", "colours", "champion", 2, "")
    with pytest.raises(SystemExit) as ended:
        main(["runs"])
    assert ended.value.code == 0
    out = capsys.readouterr()
    assert "finished an interrupted promotion: colours 2 is champion" in out.err
    assert "colours/1" in out.out


def test_folder_of_models_elsewhere_is_finished_and_shown_too(
    home: Path, trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from tl.cli.main import main

    (home / "models").rename(home / "published")
    facts = json.loads((home / "runs" / trained.run.name / "run.json").read_text())
    facts["config"]["output"] = str(home / "published")
    (home / "runs" / trained.run.name / "run.json").write_text(json.dumps(facts))
    promote("published/colours/1", "champion")
    begin(home / "published", "colours", "champion", 2, "")

    with pytest.raises(SystemExit) as ended:
        main(["runs"])
    assert ended.value.code == 0
    out = capsys.readouterr()
    assert "finished an interrupted promotion: colours 2 is champion" in out.err
    assert "colours/2 (champion)" in out.out


def test_lineage_leads_from_the_version_to_pictures_and_command(
    home: Path, trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.lineage import trace
    from tl.cli.main import main

    promote(trained.run.name, "champion")
    found = trace(Path("models/colours/1"))

    record = json.loads((trained.run / "run.json").read_text())
    assert found.run == trained.run.name
    assert found.labels == ("champion",)
    assert len(found.history) == 1
    assert found.fingerprint == trained.plan.data.pictures.fingerprint
    assert found.pictures == trained.plan.data.side_counts()
    assert found.same_pictures
    assert found.git == record["versions"].get("git", "not in a git checkout")
    assert found.headline is not None
    assert found.headline[1] == trained.result.exported.metrics["top_1_accuracy"]
    assert found.weights_sha256 is not None
    with pytest.raises(SystemExit):
        main(["lineage", "models/colours/1", "--json"])
    assert json.loads(capsys.readouterr().out)["fingerprint"] == found.fingerprint
    with pytest.raises(ConfigError, match="is no version of a model"):
        trace(home / "runs")


def test_command_names_what_the_environment_and_the_working_directory_gave(home: Path) -> None:
    from pipelines.lineage import reproduce_command
    from tl.config import RunConfig

    facts = {
        "config": RunConfig(dataset="/pictures").to_dict(),
        "backbone": "mobilenet_0.25",
        "weights": {"source": "", "sha256": "", "path": "/weights/a b.h5"},
    }
    assert reproduce_command(facts, Path("runs/x/split.json")) == (
        "tl finetune --dataset /pictures --set model.backbone=mobilenet_0.25 "
        f"--set 'model.weights=/weights/a b.h5' --set data.split_file={home}/runs/x/split.json"
    )


def test_command_of_the_lineage_has_the_same_config(home: Path, trained: Any) -> None:
    import shlex

    from pipelines.lineage import trace
    from tl.config_reading import read_config
    from tl.run_folder import read_record

    words = shlex.split(trace(Path("models/colours/1")).command)
    assert words[:2] == ["tl", "finetune"]
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    config = read_config(None, settings, {"dataset": words[words.index("--dataset") + 1]})
    had = read_record(trained.run).config.flat()
    now = config.flat()
    different = {key for key in had if had[key] != now[key]}
    assert different <= {"data.split_file", "output"}
