"""What the commands about runs say: lists, comparisons, labels, lineage, what was not sent."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.cli.compare_runs import pictures_needed, verdict
from tl.evaluation.compare import Comparison, Difference, compare_predictions
from tl.evaluation.predictions import PREDICTIONS, Predictions, read_predictions, write_predictions
from tl.journal import JOURNAL, Journal

Run = Callable[..., Any]


@pytest.fixture
def home(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    redirect_export: Callable[[Path, Path], None], copy_store: Callable[[Path], None],
) -> Path:  # fmt: skip
    """A copy of the finished run's working directory, with a second run that is wrong more."""
    folder = Path(shutil.copytree(trained.home, tmp_path / "home"))
    copy_store(folder)
    first = folder / "runs" / trained.run.name
    redirect_export(first, folder / "models")
    facts = json.loads((first / "run.json").read_text())
    facts["outcome"]["saved_model"] = str(folder / "models" / "colours" / "1")
    (first / "run.json").write_text(json.dumps(facts))
    worse = shutil.copytree(first, folder / "runs" / "19990101-000000-colours-worse")
    facts |= {"id": worse.name}
    facts["outcome"] |= {"saved_model": str(folder / "models" / "colours" / "9")}
    facts["outcome"]["metrics"]["top_1_accuracy"] = 0.1
    (worse / "run.json").write_text(json.dumps(facts))
    monkeypatch.chdir(folder)
    return folder


def said(rate: float, count: int = 400) -> Predictions:
    truth = np.zeros(count, np.int64)
    answers = np.tile(np.array([0.8, 0.2], np.float32), (count, 1))
    answers[int(rate * count) :] = [0.2, 0.8]
    return Predictions(
        problem="single_label", class_names=("cat", "dog"), side="test",
        keys=[f"{place}.jpg" for place in range(count)],
        identities=[f"{place:064x}" for place in range(count)],
        truth=truth, answers=answers,
    )  # fmt: skip


def test_runs_are_a_table_with_the_best_and_what_is_in_production(
    home: Path, trained: Any, tl: Run
) -> None:
    assert tl("promote", trained.run.name, "--to", "champion").code == 0
    done = tl("runs")
    assert done.code == 0
    head, first, second, best = done.out.splitlines()
    assert head.split()[:4] == ["run", "state", "backbone", "strategy"]
    assert first.startswith(f"{trained.run.name} *  finished")
    assert first.endswith("colours/1 (champion)")
    assert second.startswith("19990101-000000-colours-worse  ")
    assert second.endswith("colours/9")
    assert best.startswith(f"best  {trained.run.name}: top_1_accuracy ")

    row = json.loads(tl("runs", "--json", "--limit", "1").out)
    assert (row["id"], row["labels"]) == (trained.run.name, ["champion"])
    (shown,) = tl("runs", "--where", "top_1_accuracy<0.2", "--show", "seed").out.splitlines()[1:]
    assert shown.startswith("19990101")
    assert shown.split()[-1] == "0"


def test_runs_that_are_not_there_are_said_to_be_not_there(home: Path, tl: Run) -> None:
    assert (
        "no run of a model 'colour'; did you mean 'colours'"
        in tl("runs", "--model", "colour").error
    )
    assert tl("runs", "--where", "top_1_accuracy>2").out == "none of 2 runs is like this\n"
    assert "write KEY=VALUE" in tl("runs", "--where", "best").error
    assert "no run has 'acuracy'" in tl("runs", "--sort", "acuracy").error
    shutil.rmtree("runs")
    assert tl("runs").out.startswith("no runs here: `tl finetune` writes them to runs/")
    assert tl("runs", "--json").out == ""


def test_damaged_run_is_warned_of(home: Path, trained: Any, tl: Run) -> None:
    (home / "runs" / "19990101-000000-colours-worse" / "run.json").write_text('{"id": "19')
    done = tl("runs")
    assert "warning: runs/19990101-000000-colours-worse/run.json is damaged" in done.err
    assert trained.run.name in done.out
    assert "is damaged: Unterminated" in tl("report", "19990101").error


def test_comparison_says_which_is_better_by_how_much(home: Path, trained: Any, tl: Run) -> None:
    write_predictions(said(0.7), home / "runs" / "19990101-000000-colours-worse" / PREDICTIONS)
    write_predictions(said(0.9), home / "runs" / trained.run.name / PREDICTIONS)
    done = tl("compare-runs", "19990101", trained.run.name)
    assert done.code == 0
    assert "on the same 400 pictures" in done.out
    assert "A alone is right on 0, B alone on 80" in done.out
    assert done.out.splitlines()[-1] == (
        "B is better: a difference in top_1_accuracy as large as this would come up by chance in "
        "under 1 % of such comparisons"
    )
    found = json.loads(tl("compare-runs", "19990101", trained.run.name, "--json").out)
    assert found["differences"][0]["better"] == "second"


def test_comparison_of_a_run_with_itself_is_no_difference(
    home: Path, trained: Any, tl: Run
) -> None:
    done = tl("compare-runs", trained.run.name, trained.run.name)
    assert done.out.splitlines()[-1] == "no difference in top_1_accuracy on these pictures"


def test_small_difference_is_called_noise_with_what_would_show_it() -> None:
    one, other = said(0.9, 100), said(0.91, 100)
    result = compare_predictions(one, other)
    assert verdict(result).startswith(
        "the difference in top_1_accuracy may well be noise: one as large would come up by chance "
        "in 100 % of such comparisons; if it is real, about "
    )
    # One picture in a hundred, all to one side: (1.96 sqrt(p) + 0.84 sqrt(p - p^2))^2 / p^2.
    assert pictures_needed(result) == 783


def test_other_figures_that_tell_are_named() -> None:
    noise = Difference("top_1_accuracy", 0.8, 0.82, 0.02, (-0.01, 0.05), 0.2, "neither")
    loss = Difference("log_loss", 0.9, 0.7, -0.2, (-0.3, -0.1), 0.004, "second")
    words = verdict(Comparison(50, 0, 0, 1, 2, None, (noise, loss)))
    assert words.endswith(". But log_loss says that B is better (p 0.004)")


def test_verdict_about_values_speaks_of_no_pictures() -> None:
    mae = Difference("mae", 2.0, 1.5, -0.5, (-0.9, -0.1), 0.02, "second")
    result = Comparison(50, 0, 0, None, None, None, (mae,))
    assert verdict(result) == (
        "B is better: a difference in mae as large as this would come up by chance in 2 % of such "
        "comparisons"
    )
    assert pictures_needed(result) is None


@pytest.mark.slow
def test_comparison_on_a_dataset_measures_both_there(home: Path, trained: Any, tl: Run) -> None:
    version = home / "models" / "colours" / "1"
    refused = tl("compare-runs", trained.run.name, version)
    assert "is a version's folder: pass --dataset too" in refused.error
    assert trained.run.name in refused.error
    done = tl("compare-runs", trained.run.name, version, "--dataset", trained.dataset)
    assert done.code == 0, done.err
    assert "pictures of" not in done.out  # all are shared
    assert done.out.splitlines()[-1] == "no difference in top_1_accuracy on these pictures"


def test_promotion_and_its_way_back_say_what_stands_for_what(
    home: Path, trained: Any, tl: Run
) -> None:
    assert tl("promote", trained.run.name, "--to", "champion").out.splitlines() == [
        "label   colours 1 is champion",
        "served  models/models.config",
        "MLflow  models:/colours@champion",
    ]
    shutil.copytree("models/colours/1", "models/colours/2")
    done = tl("promote", "models/colours/2", "--to", "champion")
    assert done.out.splitlines()[0] == "label   colours 2 is champion (before: 1)"
    assert tl("rollback", "colours").out.splitlines()[0] == (
        "label   colours 1 is champion (before: 2)"
    )
    assert "there is none to go back to" in tl("rollback", "colours").error
    assert "champion is 1" in tl("rollback", "colours", "--to", "canary").error
    assert "beginning with a letter" in tl("promote", trained.run.name, "--to", "1st").error
    assert "no model at" in tl("rollback", "roses").error


def test_lineage_lists_promotions_of_the_version(home: Path, trained: Any, tl: Run) -> None:
    for _ in range(2):
        tl("promote", trained.run.name, "--to", "champion")
    lines = tl("lineage", "models/colours").out.splitlines()
    rows = [line.split(maxsplit=1) for line in lines]
    words = dict(rows)
    assert words["labels"] == "champion"
    assert words["run"] == trained.run.name
    assert words["again"].startswith("tl finetune --dataset ")
    promoted = [row[1] for row in rows if row[0] == "promoted"]
    assert [one.split("  ")[1] for one in promoted] == ["champion", "champion"]
    assert "give one such as models/flowers/7" in tl("lineage", "models").error


def test_sync_without_runs_sends_what_is_missing_and_says_so(
    home: Path, trained: Any, tl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home / "runs" / "19990101-000000-colours-worse")
    nothing = "nothing to send: no run below runs/ has anything that the store lacks\n"
    assert tl("track", "sync").out == nothing
    journal = home / "runs" / trained.run.name / JOURNAL
    more = Journal(journal.parent)
    more.tags({"tl.note": "later"})
    more.finish("FINISHED")
    # That the folder has another place than when its version was told of does not matter.
    (sent,) = tl("track", "sync").out.splitlines()
    assert sent.startswith(f"sent  runs/{trained.run.name}, in MLflow run ")
    assert tl("track", "sync").out == nothing
    assert "no run 'none' below" in tl("track", "sync", "none").error

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = tl("promote", trained.run.name, "--to", "champion")
    assert done.code == 1
    assert done.err.startswith("warning: it is served, but MLflow does not know of it yet")


def test_ten_thousand_runs_are_listed_in_seconds(tmp_path: Path, trained: Any) -> None:
    """2 s is the aim, see docs/benchmarks.md; here others take the cores, too."""
    record = (trained.run / "run.json").read_text()
    for number in range(10_000):
        run = tmp_path / "runs" / f"{number:05}"
        run.mkdir(parents=True)
        (run / "run.json").write_text(record)
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "tl.cli", "runs"], cwd=tmp_path, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        seconds.append(time.monotonic() - began)
    assert seconds[0] < 10
    assert seconds[1] < 4


def test_predictions_that_a_run_lacks_are_named(home: Path, trained: Any, tl: Run) -> None:
    assert len(read_predictions(home / "runs" / trained.run.name / PREDICTIONS)) == 6
    (home / "runs" / trained.run.name / PREDICTIONS).unlink()
    assert PREDICTIONS in tl("compare-runs", trained.run.name, "19990101").error
