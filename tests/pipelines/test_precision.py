"""Which runs ask the clock about bfloat16, and what they do with the answer."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import precision
from tl.zoo.backbones import find_backbone


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """Gains that the clock will show, one for each time that it is asked."""
    gains: list[float] = []
    monkeypatch.setattr(precision, "has_bfloat16", lambda text: True)
    monkeypatch.setattr(precision, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(precision, "bfloat16_gain", lambda build: gains.pop(0))
    return gains


def ask(backbone: str, size: int = 224) -> tuple[bool, list[str]]:
    plan: Any = SimpleNamespace(backbone=find_backbone(backbone), image_size=(size, size))
    said: list[str] = []
    return precision.bfloat16_pays(plan, said.append), said


def test_small_network_is_not_asked_about(measured: list[float]) -> None:
    assert ask("mobilenet_0.25") == (False, [])


def test_cpu_without_the_instructions_is_not_asked(
    measured: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda text: False)

    assert ask("resnet50") == (False, [])


def test_gain_decides_and_is_asked_for_once(measured: list[float]) -> None:
    measured += [1.5, 1.1]

    line = "this CPU computes resnet50 1.50 times as fast in bfloat16"
    assert ask("resnet50") == (True, [line])
    assert ask("resnet50") == (True, [line])
    assert ask("resnet50", 96) == (
        False,
        ["this CPU computes resnet50 1.10 times as fast in bfloat16: less than 1.2, so not used"],
    )
