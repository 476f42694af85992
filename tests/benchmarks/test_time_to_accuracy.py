"""The comparison itself, over a few pictures and one epoch of everything."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.comparison.results import read_results
from benchmarks.comparison.splits import make_fold, picture_keys

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "time_to_accuracy.py"


@pytest.mark.soak
def test_guide_and_tl_report_every_epoch_and_predict_every_test_picture(
    make_pictures: Callable[..., Path], shared: Path, tmp_path: Path
) -> None:
    root = make_pictures(tmp_path / "data" / "colours", {"blue": 14, "green": 13, "red": 13})
    command = [sys.executable, str(SCRIPT), "time", "data", str(shared / "weights"), "--quick",
               "--datasets", "colours", "--backbones", "mobilenet_0.25", "--fold-seeds", "1",
               "--contenders", "guide", "tl"]  # fmt: skip

    def measure() -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    table = measure()

    guide, tl = read_results(tmp_path / "time_to_accuracy.jsonl")
    tested = make_fold(picture_keys(root), n_folds=5, fold=0, seed=0)["test"]
    assert [epoch.phase for epoch in guide.epochs] == ["head", "all"]
    assert guide.wall_s == guide.epochs[-1].seconds
    assert tl.epochs[0].phase == "probe"
    assert 0 < tl.epochs[0].seconds < tl.epochs[-1].seconds < tl.wall_s
    for result in (guide, tl):
        assert set(result.predictions) == set(tested)
        assert set(result.predictions.values()) <= {"blue", "green", "red"}
    assert "| colours | mobilenet_0.25 at 224 | tl |" in table
    # Nothing is measured again, so the table is there at once and the same.
    assert measure() == table
