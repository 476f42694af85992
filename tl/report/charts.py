"""Charts of the report, as SVG that takes the colours of the page it stands in.

Drawn by matplotlib without a background; what it draws in `INK` becomes the colour of the page's
text, so that one chart serves light and dark.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

INK = "#010203"
COLOURS = ("#3b82c4", "#d9822b", "#3f9d5a", "#b65fc0", "#c94f4f", "#7a7f87")
Points = Sequence[Sequence[float]]


def line_chart(
    lines: Mapping[str, Points],
    *,
    x: str,
    y: str,
    title: str = "",
    diagonal: bool = False,
    dots: bool = False,
    bands: Mapping[str, Sequence[Sequence[float]]] | None = None,
    size: tuple[float, float] = (4.4, 3.2),
    limits: tuple[float, float] | None = None,
) -> str:
    """Draw lines by name.

    Args:
        lines: points (x, y) of each; dashed where its name begins with ``val``.
        x: label of the axis.
        y: likewise.
        title: above it.
        diagonal: draw the line of equal x and y.
        dots: mark the points.
        bands: low and high of each point, by the name of the line.
        size: in inches.
        limits: of the y axis.
    """
    figure, axes = _figure(size)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=":")
    for number, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        colour = COLOURS[number % len(COLOURS)]
        xs, ys = zip(*points, strict=True)
        style = "--" if name.startswith("val") else "-"
        axes.plot(xs, ys, style, color=colour, label=name, marker="o" if dots else None,
                  markersize=3.5, linewidth=1.6)  # fmt: skip
        if bands and name in bands:
            low, high = zip(*bands[name], strict=True)
            axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if limits:
        axes.set_ylim(*limits)
    if title:
        axes.set_title(title, fontsize=10)
    if 1 < len(lines) <= 12 or any(name for name in lines if name.startswith("val")):
        _legend(axes)
    return _svg(figure)


def bar_chart(
    groups: Mapping[str, Mapping[str, float]], *, y: str, size: tuple[float, float] | None = None
) -> str:
    """Draw bars side by side: outer names along the axis, inner names as colours."""
    names = list(groups)
    inner = list(dict.fromkeys(key for one in groups.values() for key in one))
    figure, axes = _figure(size or (max(4.4, min(14.0, 0.42 * len(names) + 2)), 3.2))
    width = 0.8 / max(1, len(inner))
    for number, key in enumerate(inner):
        places = [place + (number - (len(inner) - 1) / 2) * width for place in range(len(names))]
        axes.bar(places, [groups[name].get(key, 0) for name in names], width=width,
                 color=COLOURS[number % len(COLOURS)], label=key)  # fmt: skip
    turned = sum(map(len, names)) > 40
    axes.set_xticks(range(len(names)), [_short(name) for name in names],
                    rotation=50 if turned else 0, ha="right" if turned else "center")  # fmt: skip
    axes.set_ylabel(y)
    if len(inner) > 1:
        _legend(axes)
    return _svg(figure)


def scatter_chart(points: Points, *, x: str, y: str) -> str:
    """Draw points, and the line of equal x and y."""
    figure, axes = _figure((4.4, 4.0))
    xs, ys = zip(*points, strict=True)
    ends = [min(*xs, *ys), max(*xs, *ys)]
    axes.plot(ends, ends, color=INK, linewidth=0.7, linestyle=":")
    axes.scatter(xs, ys, s=9, color=COLOURS[0], alpha=0.6, linewidths=0)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return _svg(figure)


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK, labelsize=8)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.title.set_color(INK)
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # Text stays text, in the font of the page; ids do not change from one run to the next.
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "tl", "font.family": "sans-serif"}
    ):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # Ids of several charts in one page must not meet.
    mark = f"{abs(hash(text)) % 10**8:08d}"
    text = re.sub(r'id="([^"]+)"', rf'id="\1-{mark}"', text)
    text = re.sub(r"(url\(#|href=\"#)([^\")]+)", rf"\g<1>\g<2>-{mark}", text)
    text = re.sub(r"font: ([^;]*?)px [^;\"]*", r"font: \1px sans-serif", text)
    return text.replace(INK, "currentColor")
