"""The report of runs that really happened, and of folders as people leave them."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from pipelines.reopen import reopen_data
from pipelines.report import CARD, REPORT, write_report
from tests.tl.report.parsed import Parsed
from tl.errors import ConfigError
from tl.evaluation.predictions import PREDICTIONS, read_predictions


@pytest.fixture
def run(trained: Any, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    copy: Path = shutil.copytree(trained.run, tmp_path / "runs" / trained.run.name)
    return copy


def write_again(run: Path) -> Parsed:
    page = write_report(run, reopen_data(run))
    return Parsed(page.read_text(encoding="utf-8"))


def evaluation_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "evaluation.json").read_text()))


@pytest.mark.parametrize("kind", ["trained", "trained_shapes", "trained_discs"])
def test_command_writes_the_page_that_the_run_wrote(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl.cli.report import report

    done = request.getfixturevalue(kind)
    monkeypatch.chdir(done.home)
    before = {name: (done.run / name).read_text() for name in (REPORT, CARD)}

    answer = CliRunner().invoke(report, [done.run.name], catch_exceptions=False)

    assert answer.output == f"report  runs/{done.run.name}/{REPORT}\n"
    assert before == {name: (done.run / name).read_text() for name in (REPORT, CARD)}


@pytest.mark.parametrize("kind", ["trained", "trained_shapes", "trained_discs"])
def test_every_figure_is_the_one_that_was_measured(
    kind: str, request: pytest.FixtureRequest
) -> None:
    done = request.getfixturevalue(kind)
    page = Parsed((done.run / REPORT).read_text())
    evaluation = evaluation_of(done.run)
    metrics = evaluation["metrics"]
    shown = [cell for rows in page.tables for row in rows for cell in row]

    for name, value in metrics.items():
        if isinstance(value, float) and f"{name}_interval" in metrics:
            low, high = metrics[f"{name}_interval"]
            assert f"{value:.4g}" in shown, name
            assert f"{low:.4g} to {high:.4g}" in shown, name
    for name, row in metrics.get("per_class", {}).items():
        by_class = {one[0]: one[1:] for one in page.table("F1")}
        assert by_class[name] == [f"{one:.4g}" for one in row.values()], name
    assert f"{evaluation['speed']['megabytes']:.4g} MB" in shown
    assert f"{metrics['n_pictures']} test pictures" in page.words


def test_all_wrong_answers_of_a_small_run_are_shown(trained: Any) -> None:
    predictions = read_predictions(trained.run / PREDICTIONS)
    wrong = {
        key for key, right in zip(predictions.keys, predictions.right, strict=True) if not right
    }
    page = Parsed((trained.run / REPORT).read_text())

    assert wrong
    assert wrong <= {one["alt"] for one in page.named("img")}


def test_problems_have_the_sections_that_fit_them(trained_shapes: Any, trained_discs: Any) -> None:
    shapes, discs = (
        Parsed((one.run / REPORT).read_text()) for one in (trained_shapes, trained_discs)
    )

    assert "Pictures with the least believed label" in shapes.words
    assert "confusion" not in shapes.ids()
    assert "Largest errors" in discs.words
    assert "Answers beside the truth" in discs.words
    assert "How many of each class" not in discs.words
    assert "calibration" not in discs.ids()


@pytest.mark.parametrize("kind", ["trained", "trained_shapes", "trained_discs"])
def test_card_beside_it_agrees(kind: str, request: pytest.FixtureRequest) -> None:
    done = request.getfixturevalue(kind)
    metrics = evaluation_of(done.run)["metrics"]

    facts = yaml.safe_load((done.run / CARD).read_text().split("\n---\n")[0])

    for one in facts["model-index"][0]["results"][0]["metrics"]:
        assert one["value"] == pytest.approx(metrics[one["type"]], rel=1e-5)
    assert facts["base_model"] == "tl_small"


def test_page_is_kept_in_the_experiment_store(trained: Any) -> None:
    kept = list((trained.home / "mlartifacts").rglob(REPORT))

    assert [one.read_text() for one in kept] == [(trained.run / REPORT).read_text()]


def test_run_of_an_earlier_tl_has_a_page_with_what_it_kept(run: Path) -> None:
    for name in ("evaluation.json", PREDICTIONS, "tracking.jsonl", "augmentation.png"):
        (run / name).unlink()
    outcome = json.loads((run / "run.json").read_text())["outcome"]

    page = write_again(run)

    low, high = outcome["interval"]
    assert page.rows()["accuracy (top 1)"][:2] == [
        f"{outcome['metrics']['top_1_accuracy']:.4g}", f"{low:.4g} to {high:.4g}"
    ]  # fmt: skip
    assert "mistakes" not in page.ids()
    assert "No curves are kept" in page.words
    assert "tl serve" in page.words


def test_run_that_exported_nothing_has_a_page(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "outcome": {}}))
    for name in ("evaluation.json", PREDICTIONS):
        (run / name).unlink()

    page = write_again(run)

    assert "Nothing was measured" in page.words
    assert "No model was exported" in page.words
    assert yaml.safe_load((run / CARD).read_text().split("\n---\n")[0])["metrics"] == ["none"]


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "null", '"words"', "\ufeff{}", '{"metrics": {"top_1_accuracy": "high"}}',
     '{"metrics": {"top_1_accuracy": 0.5}}', '{"slices": [{}]}', '{"robustness": {"clean": 1}}',
     '{"curves": {"a": {}}}', '{"metrics": null}'],
)  # fmt: skip
def test_damaged_findings_are_said_to_be(run: Path, text: str) -> None:
    data = reopen_data(run)
    before = (run / REPORT).read_text()
    (run / "evaluation.json").write_text(text)

    with pytest.raises(ConfigError, match=r"evaluation.json.* damaged.*`tl export 2") as caught:
        write_report(run, data)

    assert "\n" not in str(caught.value)
    assert (run / REPORT).read_text() == before


@pytest.mark.parametrize("name", [PREDICTIONS, "suspects.csv"])
def test_other_damaged_files_are_named(run: Path, name: str) -> None:
    (run / name).write_bytes(b"\xff\x00 no table")

    with pytest.raises(ConfigError, match=name):
        write_again(run)


@pytest.mark.parametrize("name", ["decision.json", "augmentation.png", "tracking.jsonl"])
def test_what_only_adorns_the_page_may_be_damaged(run: Path, name: str) -> None:
    (run / name).write_bytes(b"[1]")

    assert "accuracy (top 1)" in write_again(run).words


def test_pictures_that_are_gone_are_not_shown(run: Path, pictures: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(pictures, tmp_path / "pictures")
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["dataset"] = str(dataset)
    (run / "run.json").write_text(json.dumps(facts))
    data = reopen_data(run)
    gone = read_predictions(run / PREDICTIONS).keys[:3]
    for key in gone:
        (dataset / key).unlink()

    page = Parsed(write_report(run, data).read_text())

    shown = {one["alt"] for one in page.named("img")}
    assert not shown & set(gone)
    assert shown & set(read_predictions(run / PREDICTIONS).keys[3:])


def test_folder_that_cannot_be_written_keeps_its_old_page(
    run: Path, mount_disk: Callable[[str], Path]
) -> None:
    full = shutil.copytree(run, mount_disk("8m") / run.name)
    data = reopen_data(run)
    before = (full / REPORT).read_text()
    with contextlib.suppress(OSError):
        (full / "filler").write_bytes(bytes(9 << 20))

    with pytest.raises(OSError, match="No space"):
        write_report(full, data)

    assert (full / REPORT).read_text() == before


def test_pictures_that_were_moved_are_found_where_they_are_said_to_be(
    run: Path, trained: Any, tmp_path: Path
) -> None:
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["dataset"] = str(tmp_path / "gone")
    (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match=r"no longer at .*/gone; name the place .* --dataset"):
        reopen_data(run)
    moved = shutil.copytree(trained.dataset, tmp_path / "moved")
    assert reopen_data(run, str(moved)).split() == trained.plan.data.split()
    other = tmp_path / "other"
    for name in ("blue", "green", "red"):
        (other / name).mkdir(parents=True)
        for number in range(12):
            colour = (10 * number, 7, len(name))
            Image.new("RGB", (20, 20), colour).save(other / name / f"{number}.png")
    with pytest.raises(ConfigError, match="has none of the pictures that .* was trained with"):
        reopen_data(run, str(other))


def test_report_that_fails_is_only_warned_of(trained: Any, tmp_path: Path) -> None:
    from pipelines.look_closer import write_pages

    said: list[str] = []
    kept: list[Path] = []
    tracker: Any = SimpleNamespace(artifact=kept.append)

    write_pages(trained.plan, tmp_path, tracker, said.append)

    assert len(said) == 1
    assert said[0].startswith("warning: the report failed, the model is not concerned: ")
    assert "run.json" in said[0]
    assert kept == []


@pytest.mark.slow
def test_run_whose_report_fails_ends_well(
    pictures: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.look_closer
    from pipelines.finetune import finetune
    from pipelines.plan import make_plan
    from tl.config_reading import read_config

    def fail(*arguments: Any) -> None:
        raise RuntimeError("no room for charts\nbut for much more")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipelines.look_closer, "write_report", fail)
    said: list[str] = []
    plan = make_plan(
        read_config(None, (), {"dataset": str(pictures), **settings, "evaluation.suspects": False})
    )

    result = finetune(plan, say=said.append)

    assert result.exported is not None
    assert json.loads((result.run / "run.json").read_text())["state"] == "finished"
    assert "warning: the report failed, the model is not concerned: no room for charts" in said
    assert not (result.run / REPORT).exists()


@pytest.mark.slow
def test_hostile_file_names_go_the_whole_way(
    make_pictures: Callable[..., Path], settings: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from pipelines.finetune import finetune
    from pipelines.plan import make_plan
    from tl.config_reading import read_config

    root = make_pictures(tmp_path / "pictures", {"a b": 14, "<b>$x$&": 14})
    for folder in root.iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            name = f"<img src=x onerror=alert(1)>\u202e\n\"'{number}".encode() + b"\xff.jpg"
            os.rename(path, os.fsencode(folder) + b"/" + name)  # noqa: PTH104 - bytes, not a path
    monkeypatch.chdir(tmp_path)

    result = finetune(make_plan(read_config(None, (), {"dataset": str(root), **settings})))

    text = (result.run / REPORT).read_text()
    page = Parsed(text)
    assert {one["alt"] for one in page.named("img")} > {
        "training pictures, each beside its augmented views"
    }
    assert not [name for _, one in page.elements for name in one if name.startswith("on")]
    assert not re.search("[\u202e\udcff]", text)
    assert "\\u202e\\n\"'" in page.words
    assert "<b>$x$&" in page.words
    assert yaml.safe_load((result.run / CARD).read_text().split("\n---\n")[0])
