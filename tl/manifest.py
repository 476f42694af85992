"""What a version says of itself: ``assets.extra/tl.json``, read without TensorFlow."""

import json
from pathlib import Path
from typing import Any


def read_manifest(version: Path) -> dict[str, Any]:
    """Return what a version's ``tl.json`` says; empty where tl did not export it."""
    try:
        facts: dict[str, Any] = json.loads((version / "assets.extra" / "tl.json").read_text())
    except (OSError, ValueError):
        return {}
    return facts
