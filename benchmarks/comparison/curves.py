"""Curves and a table of networks that were trained for the same budget.

Receives comparisons and the facts of trainings, gives a picture and lines of Markdown.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLUMNS = 3
PANEL = (3.4, 2.7)  # inches


class Compared(Protocol):
    """What is needed of a comparison."""

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def networks(self) -> Mapping[str, str]: ...  # noqa: D102


Facts = Mapping[str, Any]


def draw_curves(comparisons: Sequence[Compared], results: Sequence[Facts], picture: Path) -> None:
    """Draw the accuracy on test pictures by epoch: a thin line a seed, a thick one their mean."""
    known = {one["network"] for one in results}
    comparisons = [one for one in comparisons if known & set(one.networks.values())]
    rows = -(-len(comparisons) // COLUMNS)
    figure = Figure(figsize=(PANEL[0] * COLUMNS, PANEL[1] * rows), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axis, comparison in zip(axes, comparisons, strict=False):
        for place, (label, network) in enumerate(comparison.networks.items()):
            curves = [100 * curve for curve in _test_accuracies(results, network)]
            if not curves:
                continue
            epochs = np.arange(1, len(curves[0]) + 1)
            for curve in curves:
                axis.plot(epochs, curve, color=f"C{place}", linewidth=0.6, alpha=0.6)
            mean = np.mean(curves, axis=0)
            axis.plot(epochs, mean, color=f"C{place}", linewidth=2, label=label)
        axis.set_title(comparison.title, fontsize=10)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
        axis.legend(fontsize=8, loc="lower right")
    for axis in figure.axes[len(comparisons) :]:
        axis.set_visible(False)
    figure.supxlabel("epochs", fontsize=9)
    figure.supylabel("test pictures called right, %", fontsize=9)
    with mpl.rc_context({"svg.hashsalt": "tl", "svg.fonttype": "path"}):
        figure.savefig(picture, metadata={"Date": None})


def table_of_curves(comparisons: Sequence[Compared], results: Sequence[Facts]) -> str:
    """Return a table in Markdown: a row a network, in per cent after the last epoch."""
    lines = [
        "| | network | parameters | budget | training | test, by seed | mean |",
        "|---|---|---:|---|---:|---|---:|",
    ]
    for comparison in comparisons:
        for place, (label, network) in enumerate(comparison.networks.items()):
            trained = _of(results, network)
            if not trained:
                continue
            test = 100 * np.array([one["epochs"][-1]["test_accuracy"] for one in trained])
            training = 100 * np.mean([one["epochs"][-1]["train_accuracy"] for one in trained])
            first = trained[0]
            budget = f"{first['training_pictures']:,} x {len(first['epochs'])}"
            lines.append(
                f"| {comparison.title if place == 0 else ''} | {label}, `{network}` "
                f"| {first['parameters']:,} | {budget} | {training:.1f} "
                f"| {', '.join(f'{one:.1f}' for one in test)} | {test.mean():.1f} |"
            )
    return "\n".join(lines)


def _test_accuracies(results: Sequence[Facts], network: str) -> Iterator[Any]:
    for one in _of(results, network):
        yield np.array([epoch["test_accuracy"] for epoch in one["epochs"]])


def _of(results: Sequence[Facts], network: str) -> list[Facts]:
    return sorted((one for one in results if one["network"] == network), key=lambda x: x["seed"])
