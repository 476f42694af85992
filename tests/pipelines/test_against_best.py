"""A run that ends says how it stands to the best before it."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.against_best import against_best
from tl.evaluation.predictions import PREDICTIONS, read_predictions, write_predictions


@pytest.fixture
def home(trained: Any, tmp_path: Path) -> Path:
    """Runs of which the first two are the same one."""
    for name in ("first", "last"):
        shutil.copytree(trained.run, tmp_path / name, symlinks=True)
    return tmp_path


def rewritten(run: Path, change: Callable[[Any], Any]) -> None:
    path = run / PREDICTIONS
    write_predictions(change(read_predictions(path)), path)


def many(table: Any) -> Any:
    """As many pictures as tell."""
    times = 30
    return dataclasses.replace(
        table,
        keys=[f"{key}-{number}" for number in range(times) for key in table.keys],
        identities=[f"{one}-{number}" for number in range(times) for one in table.identities],
        truth=np.tile(table.truth, times),
        answers=np.tile(table.answers, (times, 1)),
        extras={name: np.tile(values, times) for name, values in table.extras.items()},
        cuts={name: list(values) * times for name, values in table.cuts.items()},
    )


def all_wrong(table: Any) -> Any:
    return dataclasses.replace(
        table, answers=np.roll(np.eye(3, dtype=np.float32), 1, 1)[table.truth]
    )


def test_first_run_has_nothing_to_be_compared_with(trained: Any, tmp_path: Path) -> None:
    shutil.copytree(trained.run, tmp_path / "only")
    assert against_best(tmp_path / "only", trained.result.exported) is None


def test_best_that_left_no_table_is_passed_over(home: Path, trained: Any) -> None:
    shutil.copytree(home / "first", home / "a-perfect-one")
    (home / "a-perfect-one" / PREDICTIONS).unlink()
    facts = json.loads((home / "a-perfect-one" / "run.json").read_text())
    facts["outcome"]["metrics"]["top_1_accuracy"] = 1.0
    (home / "a-perfect-one" / "run.json").write_text(json.dumps(facts))
    said = against_best(home / "last", trained.result.exported)
    assert said is not None
    assert said.startswith("maybe noise beside first:")


def test_difference_is_told_from_noise(home: Path, trained: Any) -> None:
    exported = trained.result.exported
    said = against_best(home / "last", exported)
    n_pictures = exported.metrics["n_pictures"]
    assert said == (
        "maybe noise beside first: top_1_accuracy +0 (95 % interval +0 to +0), "
        f"on the same {n_pictures} pictures"
    )
    for name in ("first", "last"):
        rewritten(home / name, many)
    rewritten(home / "first", all_wrong)
    better = against_best(home / "last", exported)
    assert better is not None
    assert better.startswith("better than first: top_1_accuracy +")
    worse = against_best(home / "first", exported)
    assert worse is not None
    assert worse.startswith("worse than last: top_1_accuracy -")


@pytest.mark.parametrize("other", ["dataset", "model", "side", "pictures", "damaged"])
def test_run_that_was_asked_something_else_is_no_rival(
    home: Path, trained: Any, other: str
) -> None:
    facts = json.loads((home / "first" / "run.json").read_text())
    match other:
        case "dataset":
            facts["fingerprint"] = "another"
        case "model":
            facts["name"] = "another"
        case "side":
            facts["outcome"]["measured_on"] = "val"
        case "pictures":
            rewritten(
                home / "first",
                lambda table: dataclasses.replace(
                    table, identities=[f"another {one}" for one in table.identities]
                ),
            )
        case "damaged":
            (home / "first" / PREDICTIONS).write_bytes(b"PAR1")
    (home / "first" / "run.json").write_text(json.dumps(facts))
    assert against_best(home / "last", trained.result.exported) is None
