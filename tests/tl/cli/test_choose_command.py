"""`tl choose` prints a table and the command to type, or one line that says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def shipped_weights_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("TL_WEIGHTS_DIR", raising=False)


def test_one_backbone_is_measured_and_the_way_to_others_is_named(tl: Run, pictures: Path) -> None:
    done = tl("choose", "--dataset", pictures, "--image-size", "32", "--seed", "3",
              "--set", "data.test_fraction=0.2")  # fmt: skip

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["backbone", "pixels", "accuracy", "95", "%", "interval", "LogME",
                                "pictures/s", "parameters", "MB", "epoch", "of", "last", "of",
                                "all"]  # fmt: skip
    assert lines[1].split()[:4] == [">", "1", "tl_small", "32"]
    assert "only      tl_small has weights on this machine" in done.out
    assert "TL_WEIGHTS_DIR" in done.out
    assert "docs/zoo.md" in done.out
    assert lines[-1] == (
        f"next      tl finetune --dataset {pictures} --backbone tl_small --image-size 32 --seed 3 "
        "--set data.test_fraction=0.2"
    )
    assert "tl_small: " in done.err
    assert not Path("mlflow.db").exists()
    assert not Path("runs").exists()


def test_json_is_for_machines(tl: Run, pictures: Path) -> None:
    done = tl("choose", "--dataset", pictures, "--image-size", "32", "--time-budget", "2m",
              "--json")  # fmt: skip

    facts = json.loads(done.out)
    assert facts["recommended"] == facts["backbones"][0]["backbone"] == "tl_small"
    assert facts["score"] == "accuracy"
    assert facts["backbones"][0]["rank"] == 1
    assert facts["backbones"][0]["as_good_as_first"] is True
    assert facts["not_tried"] == facts["faults"] == []
    assert facts["command"].startswith("tl finetune --dataset ")


def test_the_command_that_is_printed_can_be_typed(tl: Run, pictures: Path) -> None:
    import shlex

    printed = tl("choose", "--dataset", pictures, "--image-size", "32").out.splitlines()[-1]
    words = shlex.split(printed.removeprefix("next"))

    done = tl(*words[1:], "--dry-run")

    assert words[0] == "tl"
    assert done.code == 0, done.err
    assert "backbone  tl_small at 32 x 32" in done.out


def one_class(here: Path, make: Callable[..., Path]) -> list[str]:
    return ["--dataset", str(make(here / "cats_only", {"cats": 5}))]


def unreadable(here: Path, make: Callable[..., Path]) -> list[str]:
    folder = make(here / "broken", {"cats": 4, "dogs": 4})
    for number in range(3):
        (folder / "cats" / f"text{number}.jpg").write_text("this is text")
    return ["--dataset", str(folder)]


def good(*words: str) -> Callable[[Path, Callable[..., Path]], list[str]]:
    return lambda here, make: [
        "--dataset", str(make(here / "good", {"cats": 5, "dogs": 5})), *words
    ]  # fmt: skip


CASES: dict[str, tuple[Any, int, tuple[str, ...]]] = {
    "no such dataset": (lambda here, make: ["--dataset", "nowhere"], 2, ("nowhere",)),
    "no dataset": (lambda here, make: [], 2, ("--dataset",)),
    "one class only": (one_class, 1, ("one class only", "cats", "two or more")),
    "unreadable pictures": (unreadable, 1, ("3 of 11", "text0.jpg", "max_unreadable_fraction")),
    "a budget that is none": (
        good("--time-budget", "soon"), 2, ("--time-budget 'soon'", "90s, 5m or 1h30m"),
    ),
    "no time": (good("--time-budget", "0s"), 2, ("--time-budget '0s'", "more than 0")),
    "time that runs backwards": (good("--time-budget=-5m"), 2, ("--time-budget '-5m'",)),
    "an unknown setting": (good("--set", "model.bakbone=x"), 2, ("model.bakbone", "did you mean")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_ends_with_one_line_before_tensorflow_starts(
    case: str, tl: Run, tmp_path: Path, make_pictures: Callable[..., Path]
) -> None:
    prepare, code, words = CASES[case]

    done = tl("choose", *prepare(tmp_path, make_pictures))

    assert done.code == code
    for word in words:
        assert word in done.error


def test_named_weights_and_a_tiny_budget_are_refused(tl: Run, pictures: Path) -> None:
    named = tl("choose", "--dataset", pictures, "--set", "model.weights=none")
    hasty = tl("choose", "--dataset", pictures, "--image-size", "32", "--time-budget", "0.001")

    assert (named.code, hasty.code) == (2, 2)
    assert "model.weights = 'none'" in named.err.splitlines()[-1]
    last = hasty.err.splitlines()[-1]
    assert "tl_small, the cheapest backbone here" in last
    assert "pass --time-budget " in last


def test_dry_run_says_that_the_backbone_will_be_chosen(
    tl: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mobilenet_2_5_224_tf_no_top.h5").write_bytes(b"weights")
    monkeypatch.setenv("TL_WEIGHTS_DIR", str(tmp_path))

    auto = tl("finetune", "--dataset", pictures, "--dry-run")
    named = tl("finetune", "--dataset", pictures, "--dry-run", "--backbone", "tl_small")

    assert "auto: chosen as by `tl choose` when it runs, among tl_small, mobilenet_0.25" in auto.out
    assert "tl_small at" not in auto.out
    assert "tl choose" not in named.out
