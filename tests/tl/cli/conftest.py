"""Call the command line in this process, or as a process."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tl.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: exit code.
        out, err: what it wrote.
    """

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that an error ends with."""
        lines = [line for line in self.err.splitlines() if line]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0]


@pytest.fixture
def tl(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Function that runs ``tl WORDS`` in this process."""

    def call(*words: str | Path) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def tl_process() -> Callable[..., Outcome]:
    """Function that runs ``tl WORDS`` as a process."""

    def call(*words: str | Path) -> Outcome:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("tl")), *map(str, words)],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call
