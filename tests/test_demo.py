"""`make run`, as a new user sees it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_demo_walks_from_pictures_to_predictions_and_says_what_is_next(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    digit = re.search(r"with a test picture of a (\d)", done.stdout)
    assert digit is not None
    # The best label of the HTTP and of the gRPC answer.
    answers = re.findall(r"^runs/demo/test_digit.png  (\d) (0\.\d+|1\.0+)", done.stdout, re.M)
    assert [label for label, _ in answers] == [digit[1], digit[1]]
    assert answers[0][1] == answers[1][1]
    accuracy = re.search(r"accuracy  (0\.\d+) on 262 test pictures", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9
    assert "MLflow experiment 'digits'" in done.stdout
    for command in ("tl experiments", "tl serve models/digits", "tl finetune --dataset DIR"):
        assert command in done.stdout.rpartition("What next")[2]
    assert (tmp_path / "models" / "digits" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "mlflow.db").is_file()
