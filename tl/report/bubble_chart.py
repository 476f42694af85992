"""Accuracy against cost: one bubble a network, as large as it has parameters."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tl.report.charts import COLOURS

_LARGEST = 2600.0
"""Area of the largest bubble, in square points."""
_FONT = 8
_NARROW = 0.5
"""Decades up to which steps of one size look much the same everywhere on a logarithmic axis."""


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


def bubble_chart(
    bubbles: Sequence[Bubble], form: str, source: str, notes: Sequence[str] = ()
) -> bytes:
    """Draw the chart.

    Args:
        bubbles: one or more.
        form: ``png`` or ``svg``.
        source: of the accuracy, written below.
        notes: written below it, a line each.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tl", "text.parse_math": False}):
        figure = Figure(figsize=(9, 6.6), dpi=144, layout="constrained", facecolor="white")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        most = max(one.parameters for one in bubbles)
        # The largest first, so that no bubble hides a smaller one.
        ordered = sorted(bubbles, key=lambda one: -one.parameters)
        axes.scatter(
            [one.multiply_adds / 1e9 for one in ordered],
            [one.accuracy for one in ordered],
            s=[_area(one, most) for one in ordered],
            c=[COLOURS[at % len(COLOURS)] for at in range(len(ordered))],
            alpha=0.45, linewidths=0.8, edgecolors="#333",
        )  # fmt: skip
        axes.set_xscale("log")
        axes.margins(0.14)
        least, largest = axes.get_xlim()
        ticks = ticks_between(least, largest)
        axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
        # Matplotlib labels minor ticks of its own in TeX where there are few others.
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(least, largest)
        axes.set_xlabel("thousand million multiply-adds a picture")
        axes.set_ylabel("ImageNet top-1 accuracy, %")
        axes.set_title(f"Area: parameters, {most / 1e6:,.0f} million in the largest", fontsize=10)
        axes.grid(alpha=0.2)
        below = "\n".join([f"Accuracy: {source}", *notes])
        figure.supxlabel(below, x=0.01, ha="left", fontsize=7, color="#555")
        _name(canvas, axes, ordered)
        out = io.BytesIO()
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def ticks_between(least: float, largest: float) -> list[float]:
    """Return round numbers for a logarithmic axis: some, but not so many that they collide.

    Args:
        least: end of the axis, above 0.
        largest: the other end, above ``least``.
    """
    decades = math.log10(largest / least)
    if decades < _NARROW:
        step = _round_step((largest - least) / 6)
        first, last = math.ceil(least / step), math.floor(largest / step)
        return [float(f"{step * at:.6g}") for at in range(first, last + 1)]
    leading = (1, 1.5, 2, 3, 4, 5, 7) if decades < 1.5 else (1, 2, 5) if decades < 4 else (1,)
    every = max(1, math.ceil(decades / 10))
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(largest))
    found = [float(f"{digit}e{power}") for power in range(low, high + 1, every)
             for digit in leading]  # fmt: skip
    return [one for one in found if least <= one <= largest]


def _round_step(step: float) -> float:
    """Return the number 1, 2 or 5 times a power of 10 that is not below a step."""
    power = math.floor(math.log10(step))
    return next(
        size for digit in (1, 2, 5, 10) if (size := float(f"{digit}e{power}")) >= step * (1 - 1e-9)
    )


def _area(bubble: Bubble, most: int) -> float:
    return _LARGEST * bubble.parameters / most


def _name(canvas: Any, axes: Any, bubbles: Sequence[Bubble]) -> None:
    """Write each name where it covers the least of other names, and then of bubbles."""
    canvas.draw()  # settles where everything is
    renderer = canvas.get_renderer()
    most = max(one.parameters for one in bubbles)
    points = canvas.figure.dpi / 72
    rounds = []
    for one in bubbles:
        x, y = axes.transData.transform((one.multiply_adds / 1e9, one.accuracy))
        rounds.append((float(x), float(y), math.sqrt(_area(one, most) / math.pi) * points))
    taken: list[Any] = []
    for at in sorted(range(len(bubbles)), key=lambda at: bubbles[at].accuracy):
        one, (_, _, radius) = bubbles[at], rounds[at]
        middle = (one.multiply_adds / 1e9, one.accuracy)
        others = rounds[:at] + rounds[at + 1 :]
        tried: list[tuple[tuple[int, int], int, _Place, Any]] = []
        for place in _places(radius / points):
            text = _write(axes, one.name, middle, place)
            box = text.get_window_extent(renderer)
            text.remove()
            if place.is_inside and box.width > 1.7 * radius:
                continue
            cost = (
                sum(box.overlaps(other) for other in taken) + _is_outside(box, axes.bbox),
                sum(_covers(box, *other) for other in others),
            )
            tried.append((cost, len(tried), place, box))
            if not any(cost):
                break
        _, _, place, box = min(tried, key=lambda item: item[:2])
        _write(axes, one.name, middle, place, has_line=place.is_far)
        taken.append(box)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a name may stand: points from the middle of its bubble, and which side of it."""

    x: float
    y: float
    side: str
    is_inside: bool = False
    is_far: bool = False


def _places(radius: float) -> list[_Place]:
    """Return the places around a bubble, in the order of preference."""
    found = [_Place(x=0, y=0, side="center", is_inside=True)]
    for gap in (3, 14, 28, 42):
        away, is_far = radius + gap, gap > 3
        slant = away * math.sqrt(0.5)
        found += [
            _Place(x=x, y=y, side=side, is_far=is_far)
            for x, y, side in (
                (away, 0, "left"), (-away, 0, "right"), (0, away + 4, "center"),
                (0, -away - 4, "center"), (slant, slant, "left"), (slant, -slant, "left"),
                (-slant, slant, "right"), (-slant, -slant, "right"),
            )
        ]  # fmt: skip
    return found


def _write(
    axes: Any, name: str, middle: tuple[float, float], place: _Place, *, has_line: bool = False
) -> Any:
    line = {"arrowstyle": "-", "linewidth": 0.5, "color": "#555", "shrinkA": 0, "shrinkB": 0}
    return axes.annotate(
        name, middle, (place.x, place.y), textcoords="offset points", ha=place.side, va="center",
        fontsize=_FONT, arrowprops=line if has_line else None,
    )  # fmt: skip


def _is_outside(box: Any, frame: Any) -> bool:
    return bool(box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1)


def _covers(box: Any, x: float, y: float, radius: float) -> bool:
    """Say whether a box and a bubble share a point."""
    across = x - min(max(x, box.x0), box.x1)
    upwards = y - min(max(y, box.y0), box.y1)
    return bool(math.hypot(across, upwards) < radius)
