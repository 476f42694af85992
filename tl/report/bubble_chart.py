"""Accuracy against cost: one bubble a network, as large as it has parameters."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tl.report.charts import COLOURS

_LARGEST = 2600.0
"""Area of the largest bubble, in square points."""
_FONT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One network.

    Attributes:
        name: beside it.
        multiply_adds: of one picture; along x, by its logarithm.
        accuracy: top-1 in percent; along y.
        parameters: the area.
    """

    name: str
    multiply_adds: int
    accuracy: float
    parameters: int


def bubble_chart(bubbles: Sequence[Bubble], form: str, source: str) -> bytes:
    """Draw the chart.

    Args:
        bubbles: one or more.
        form: ``png`` or ``svg``.
        source: of the accuracy, written below.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tl", "text.parse_math": False}):
        figure = Figure(figsize=(9, 6), dpi=144, layout="constrained", facecolor="white")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        most = max(one.parameters for one in bubbles)
        # The largest first, so that no bubble hides a smaller one.
        ordered = sorted(bubbles, key=lambda one: -one.parameters)
        axes.scatter(
            [one.multiply_adds / 1e9 for one in ordered],
            [one.accuracy for one in ordered],
            s=[_LARGEST * one.parameters / most for one in ordered],
            c=[COLOURS[at % len(COLOURS)] for at in range(len(ordered))],
            alpha=0.45, linewidths=0.8, edgecolors="#333",
        )  # fmt: skip
        axes.set_xscale("log")
        axes.margins(0.14)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("thousand million multiply-adds a picture")
        axes.set_ylabel("ImageNet top-1 accuracy, %")
        axes.set_title(f"Area: parameters, {most / 1e6:,.0f} million in the largest", fontsize=10)
        axes.grid(alpha=0.2)
        figure.text(0.01, 0.005, f"Accuracy: {source}", fontsize=7, color="#555")
        _name(canvas, axes, ordered)
        out = io.BytesIO()
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _name(canvas: Any, axes: Any, bubbles: Sequence[Bubble]) -> None:
    """Write each name beside its bubble, on the first side where no other name is."""
    canvas.draw()  # settles where everything is
    renderer = canvas.get_renderer()
    taken: list[Any] = []
    sides = [(5, 0, "left"), (-5, 0, "right"), (0, 9, "center"), (0, -9, "center"),
             (5, 9, "left"), (5, -9, "left"), (-5, 9, "right"), (-5, -9, "right"),
             (0, 18, "center"), (0, -18, "center")]  # fmt: skip
    for one in sorted(bubbles, key=lambda one: one.accuracy):
        text = None
        for x, y, side in sides:
            if text is not None:
                text.remove()
            text = axes.annotate(
                one.name, (one.multiply_adds / 1e9, one.accuracy), (x, y),
                textcoords="offset points", ha=side, va="center", fontsize=_FONT,
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)
