"""The page on the client says what is true: its examples run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .certificates import Authority

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rose", "tulip"):
        Image.new("RGB", (8, 8)).save(f"{name}.jpg")


def run(block: str, server: Any, capsys: pytest.CaptureFixture[str]) -> str:
    block = block.replace("https://localhost:8501", server.rest)
    block = block.replace("http://localhost:8501", server.rest)
    exec(block.replace("localhost:8500", server.addresses["gRPC"]), {})
    return capsys.readouterr().out


@pytest.mark.parametrize("block", [block for block in BLOCKS if "https" not in block])
def test_examples_run(block: str, server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(block, server, capsys)

    if "missing.jpg" in block:
        assert f"    {said}" in PAGE.read_text()
    elif "black" in block:
        assert said == "(4, 2)\n"
    else:
        assert "lynx" in said


def test_example_of_tls_runs(
    start_tls: Callable[[bool], Any],
    authority: Authority,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = (block for block in BLOCKS if "https" in block)
    identity = authority.identity("client")
    Path("ca.pem").write_text(authority.certificate)
    Path("client.pem").write_text(identity.certificate)
    Path("client.key").write_text(identity.key)

    said = run(block.replace("/flowers", "/numbers"), start_tls(True), capsys)

    assert "AVAILABLE" in said
