"""Charts of the report, as SVG that takes the colours of the page it stands in.

Drawn by matplotlib without a background; what it draws in `INK` becomes the colour of the page's
text, so that one chart serves light and dark.
"""

import io
import re
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from html import escape
from typing import Any, ParamSpec

from tl.report.shown import shown_name

INK = "#010203"
COLOURS = ("#3b82c4", "#d9822b", "#3f9d5a", "#b65fc0", "#c94f4f", "#7a7f87")
LEGEND = 28
"""Characters of a name in a legend."""
Points = Sequence[Sequence[float]]
_SETTINGS = {
    # Text stays text, in the font of the page; ids do not change from one run to the next.
    "svg.fonttype": "none",
    "svg.hashsalt": "tl",
    "font.family": "sans-serif",
    # A class may be called "$x$" and mean that.
    "text.parse_math": False,
}


P = ParamSpec("P")


def _settled(draw: Callable[P, str]) -> Callable[P, str]:
    """Draw with these settings, whatever others the process has."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> str:
        import matplotlib as mpl

        with mpl.rc_context(_SETTINGS):
            return draw(*arguments, **options)

    return drawn


@_settled
def line_chart(
    lines: Mapping[str, Points],
    *,
    x: str,
    y: str,
    title: str = "",
    diagonal: bool = False,
    dots: bool = False,
    size: tuple[float, float] = (4.4, 3.2),
    limits: tuple[float, float] | None = None,
    whole: bool = False,
) -> str:
    """Draw lines by name.

    Args:
        lines: points (x, y) of each, by name; the second of two is dashed.
        x: label of the axis.
        y: likewise.
        title: above it.
        diagonal: draw the line of equal x and y.
        dots: mark the points.
        size: in inches.
        limits: of the y axis.
        whole: numbers the x axis with whole numbers only.
    """
    figure, axes = _figure(size)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=":")
    for number, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        colour = COLOURS[number % len(COLOURS)]
        xs, ys = zip(*points, strict=True)
        style = "--" if len(lines) == 2 and number == 1 else "-"
        marker = "o" if dots or len(points) < 3 else None
        axes.plot(xs, ys, style, color=colour, label=_label(name), marker=marker,
                  markersize=3.5, linewidth=1.6)  # fmt: skip
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if whole:
        axes.xaxis.get_major_locator().set_params(integer=True)
    if limits:
        axes.set_ylim(*limits)
    if title:
        axes.set_title(title, fontsize=10)
    if any(lines):
        _legend(axes)
    return _svg(figure, f"{title or y} over {x}")


@_settled
def scatter_chart(points: Points, *, x: str, y: str) -> str:
    """Draw points, and the line of equal x and y."""
    figure, axes = _figure((4.4, 4.0))
    xs, ys = zip(*points, strict=True)
    ends = [min(*xs, *ys), max(*xs, *ys)]
    axes.plot(ends, ends, color=INK, linewidth=0.7, linestyle=":")
    axes.scatter(xs, ys, s=18, color=COLOURS[0], alpha=0.75, linewidths=0)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return _svg(figure, f"{y} over {x}")


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.title.set_color(INK)
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Any) -> None:
    lines, names = axes.get_legend_handles_labels()
    axes.legend(lines, names, fontsize=9, frameon=False, labelcolor=INK)


def _label(name: str) -> str:
    """Return a name for a legend; matplotlib leaves out those that begin with an underscore."""
    short = shown_name(name, LEGEND)
    return f" {short}" if short.startswith("_") else short


def _svg(figure: Any, words: str) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Only the width of the text is taken from the font; the page has others for all scripts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # Ids of several charts in one page must not meet.
    mark = f"{zlib.crc32(text.encode()):08x}"
    text = re.sub(r'id="([^"]+)"', rf'id="\1-{mark}"', text)
    text = re.sub(r"(url\(#|href=\"#)([^\")]+)", rf"\g<1>\g<2>-{mark}", text)
    text = re.sub(r"font: ([^;]*?)px [^;\"]*", r"font: \1px sans-serif", text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(words)}"', 1)
    return text.replace(INK, "currentColor")
