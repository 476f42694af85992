"""Pictures for people: training curves and the confusion matrix, as PNG."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from tl.training.progress import SCORES, EpochRecord


def draw_curves(records: Sequence[EpochRecord], path: Path) -> None:
    """Draw the loss and the figure beside it of every phase over all epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    score = next((one for one in SCORES if one in records[0].metrics), SCORES[0])
    for axes, name in zip(figure.subplots(1, 2), ("loss", score), strict=True):
        for key, style, label in ((name, "-", "training"), (f"val_{name}", "--", "validation")):
            points = [
                (index, record.metrics[key])
                for index, record in enumerate(records, start=1)
                if key in record.metrics
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=label)
        for index in range(1, len(records)):
            if records[index].phase != records[index - 1].phase:
                axes.axvline(index + 0.5, color="grey", linewidth=0.8)
                axes.text(index + 0.6, axes.get_ylim()[1], records[index].phase, va="top", size=8)
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.legend()
    figure.savefig(path, dpi=110)


def draw_confusion(confusion: Sequence[Sequence[int]], names: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix: rows true, columns predicted, counts in the cells."""
    import numpy as np
    from matplotlib.figure import Figure

    counts = np.asarray(confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = min(16.0, 3.0 + 0.45 * len(names))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(names) <= 60:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names)
    if len(names) <= 25:
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(counts[row, column]), ha="center", va="center", color=colour
                )
    with warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; the run is not worse.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=110)
