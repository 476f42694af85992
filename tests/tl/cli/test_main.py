"""The way in: help at once, nothing heavy imported, hints for what was mistyped."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tl.cli.main import COMMANDS

Run = Callable[..., Any]
HEAVY = ("tensorflow", "keras", "mlflow", "albumentations", "grain", "jax", "matplotlib", "grpc")


def test_help_lists_every_command(tl: Run) -> None:
    done = tl("--help")

    assert done.code == 0
    for name, words in COMMANDS.items():
        assert name in done.out
        assert words.split()[0] in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, tl: Run) -> None:
    done = tl(command, "--help")

    assert done.code == 0
    assert done.out.lower().startswith("usage:")
    assert len(done.out.splitlines()) > 4


def test_help_and_planning_import_nothing_heavy_and_are_quick(
    pictures: Path, tmp_path: Path
) -> None:
    script = f"""
import sys
from tl.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    for words, bound_s in (
        (["--help"], 0.6),
        (["finetune", "--dry-run", "--dataset", str(pictures), "--backbone", "tl_small"], 2.0),
    ):
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", script, *words],
                capture_output=True, text=True, check=True, cwd=tmp_path,
            )  # fmt: skip
            seconds.append(time.perf_counter() - began)
        assert done.stdout.splitlines()[-1] == "heavy: []", words
        assert min(seconds) < bound_s, words
    assert list(tmp_path.iterdir()) == []


def test_dry_run_says_what_would_happen_and_writes_nothing(
    tl: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = tl("finetune", "--dataset", pictures, "--backbone", "tl_small", "--image-size", "48",
              "--strategy", "all", "--seed", "7", "--output", "out", "--name", "toys",
              "--dry-run")  # fmt: skip

    assert done.code == 0, done.err
    for words in ("36 pictures in 3 classes", "tl_small at 48 x 48", "head, then fine-tune all",
                  "seed 7", "out/toys", "nothing was trained or written"):  # fmt: skip
        assert words in done.out
    assert list(tmp_path.iterdir()) == []


def test_unknown_command_suggests_the_nearest(tl: Run) -> None:
    done = tl("fintune")

    assert done.code == 2
    assert "no command 'fintune'; did you mean 'finetune'?" in done.error


def test_unknown_option_is_one_line(tl: Run) -> None:
    done = tl("finetune", "--datset", "x")

    assert done.code == 2
    assert "--datset" in done.error
    assert "--dataset" in done.error


def test_no_command_shows_the_help(tl: Run) -> None:
    done = tl()

    assert done.code == 2
    assert "finetune" in done.out + done.err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    from tl.cli.main import main
    from tl.errors import ConfigError

    with pytest.raises(ConfigError):
        main(["--debug", "finetune", "--dataset", "/nowhere"])


def test_full_disk_of_what_is_printed_to_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tl.cli", "summary", "lenet5", "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the disk of the file that the output")
    assert "Traceback" not in done.stderr


def test_version_is_told(tl: Run) -> None:
    import importlib.metadata

    assert importlib.metadata.version("tl") in tl("--version").out


@pytest.mark.parametrize("backend", ["torch", "foo"])
def test_backend_that_is_not_there_is_one_line(backend: str, tmp_path: Path) -> None:
    code = "from tl.cli.main import main; main(['choose', '--dataset', 'digits'])"
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert f"error: KERAS_BACKEND={backend} cannot be used: " in done.stderr
    assert "Traceback" not in done.stderr
