"""The two words of the README, as make sees them."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_another_python_gets_one_line_with_what_to_do(tmp_path: Path) -> None:
    done = make("--silent", f"VENV={tmp_path / 'env'}", "PYTHON=", str(tmp_path / "env/bin/python"))

    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(lines) == 1
    assert lines[0].startswith("tl needs Python 3.11, 3.12 or 3.13")
    assert "PYTHON=" in lines[0]
    assert not (tmp_path / "env").exists()


@pytest.mark.skipif(
    not (ROOT / ".venv" / ".installed-dev").is_file(), reason="not in an environment that make made"
)
def test_second_time_installs_nothing() -> None:
    assert make("--question", ".venv/.installed-dev").returncode == 0
