"""What the commands print for several labels and for numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
FLAGS = ("--backbone", "tl_small", "--image-size", "32")


def test_plan_says_what_the_pictures_are_labelled_with(
    tl: Run, shapes: Path, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    several = tl("finetune", "--dataset", shapes, *FLAGS, "--dry-run")
    numbers = tl("finetune", "--dataset", discs, "--problem", "regression", *FLAGS,
                 "--set", "data.label_column=diameter", "--dry-run")  # fmt: skip

    assert several.code == numbers.code == 0
    assert "shapes: 90 pictures in 3 classes, 1." in several.out
    assert " of them a picture (" in several.out
    assert "discs: 90 pictures with 'diameter' from 26" in numbers.out


@pytest.mark.parametrize(
    ("which", "settings", "keys"),
    [
        ("trained_shapes", (), ("mean_average_precision", "exact_match", "AP  precision")),
        ("trained_discs", ("--set", "data.label_column=diameter"), ("mae ", "r2 ")),
    ],
)
def test_evaluate_prints_the_figures_of_the_problem(
    which: str, settings: tuple[str, ...], keys: tuple[str, ...], tl: Run,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    trained = request.getfixturevalue(which)

    done = tl("evaluate", trained.version, "--dataset", trained.dataset, *settings)

    assert done.code == 0, done.err
    for key in keys:
        assert key in done.out


def test_predict_prints_a_number_or_independent_scores(
    tl: Run, trained_shapes: Any, trained_discs: Any, discs: Path
) -> None:
    picture = discs.parent / "00.jpg"

    number = tl("predict", trained_discs.version, picture)
    as_json = tl("predict", trained_discs.version, picture, "--json")
    several = tl("predict", trained_shapes.version, picture, "--json")

    (row,) = json.loads(as_json.out)
    assert set(row) == {"file", "value"}
    assert float(number.out.split()[-1]) == pytest.approx(row["value"], rel=1e-4)
    (scores,) = (one["scores"] for one in json.loads(several.out))
    assert len(scores) == 3
    assert sum(scores) != pytest.approx(1, abs=1e-3)


def test_export_prints_the_headline(
    tl: Run, trained_discs: Any, redirect_export: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / trained_discs.run.name
    shutil.copytree(trained_discs.run, run)
    redirect_export(run, tmp_path / "models")

    done = tl("export", trained_discs.run.name)

    assert done.code == 0, done.err
    assert "error     " in done.out
    assert "for always saying the training mean)" in done.out


def test_check_of_numbers_finds_nothing_wrong_and_mends_them(
    tl: Run, discs: Path, tmp_path: Path
) -> None:
    words = ("--dataset", discs, "--set", "data.problem=regression",
             "--set", "data.label_column=diameter")  # fmt: skip
    fixed = discs.parent.parent / "fixed.csv"

    checked = tl("check", *words, "--json")
    mended = tl("check", *words, "--fix", fixed)

    assert checked.code == 0, checked.out
    assert json.loads(checked.out)["errors"] == 0
    assert "--problem regression" in mended.out
    rows = fixed.read_text().splitlines()
    first = (discs.read_text().splitlines()[1]).split(",")[1]
    assert rows[1].split(",")[1] == first


def test_check_counts_every_label_of_a_picture(tl: Run, shapes: Path) -> None:
    done = tl("check", "--dataset", shapes, "--json")

    facts = json.loads(done.out)
    # Some are drawn wrong, and so look like others.
    errors = {one["kind"] for one in facts["findings"] if one["severity"] == "error"}
    assert errors <= {"two_labels"}
    assert sum(facts["classes"].values()) > facts["pictures"] == 90
