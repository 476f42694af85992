"""Training curves, read from the journal of a run: by phase and figure, points over the steps."""

import json
from pathlib import Path

Curves = dict[str, dict[str, list[tuple[float, float]]]]
PAIRS = tuple((name, f"val_{name}") for name in ("loss", "accuracy", "micro_f1", "mae"))
SHOWN = tuple(name for pair in PAIRS for name in pair)


def read_curves(journal: Path) -> Curves:
    """Return phase -> figure -> points (step, value); empty where there is no journal."""
    curves: Curves = {}
    try:
        lines = journal.read_text(encoding="utf-8").splitlines()
    except OSError:
        return curves
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        if event.get("kind") != "metrics":
            continue
        for key, value in event["values"].items():
            phase, _, figure = key.rpartition(".")
            if figure in SHOWN and phase and not phase.endswith(".updates"):
                points = curves.setdefault(phase.replace("_", " "), {}).setdefault(figure, [])
                points.append((float(event["step"]), float(value)))
    return {
        phase: figures
        for phase, figures in curves.items()
        if phase not in ("test", "val") and "loss" in figures
    }
