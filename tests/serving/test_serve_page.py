"""The page on serving says what is true: its examples run, and it names every flag."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from serving.flags import parse_command_line

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def code_blocks(language: str, server: Any) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [
        block.replace("http://localhost:8501", server.rest).replace(
            "localhost:8500", server.addresses["gRPC"]
        )
        for block in blocks
    ]


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rose.jpg").write_bytes(b"\xff\xd8\xff")


@pytest.mark.usefixtures("picture")
def test_python_examples_print_the_labels(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for block in code_blocks("python", server):
        exec(block, {})
        assert "lynx" in capsys.readouterr().out


@pytest.mark.usefixtures("picture")
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_examples_print_the_labels(server: Any) -> None:
    lines = [
        line
        for block in code_blocks("bash", server)
        for line in block.replace("|\n", "| ").splitlines()
    ]

    assert len(lines) == 3
    for line in lines:
        done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env=os.environ)
        assert b'"labels":["lynx","puma"]' in done.stdout, line


def test_page_names_the_flags_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_command_line(["--help"])
    in_help = set(re.findall(r"^  --(\w+)", capsys.readouterr().out, re.MULTILINE))

    assert set(re.findall(r"`--(\w+)`", PAGE.read_text())) == in_help
