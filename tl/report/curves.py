"""Training curves, read from the journal of a run: by phase and figure, points over the steps."""

import json
from pathlib import Path

Curves = dict[str, dict[str, list[tuple[float, float]]]]
FIGURES = {"loss": "loss", "accuracy": "accuracy", "micro_f1": "micro F1", "mae": "mean error"}
"""What is drawn of a phase, each for training and validation, and how it is called."""
SHOWN = {name for figure in FIGURES for name in (figure, f"val_{figure}")}


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
        if not isinstance(event, dict) or event.get("kind") != "metrics":
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
