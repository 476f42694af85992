"""How values stand on the page: numbers as people read them, names without what none prints."""

from collections.abc import Sequence
from typing import Any

from tl.data.findings.finding import printable

LONGEST = 60
"""Characters of a name: a file's name has up to 255, a class's in a table any number."""


def shown_text(value: Any) -> Any:
    """Escape what no name should hold: control characters, and those that turn the reading around.

    Text that is HTML already stays as it is.
    """
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return printable(value)


def shown_name(name: Any, most: int = LONGEST) -> str:
    """Return a name that has room on a page: of a long one both ends, which tell it from others."""
    text = str(shown_text(str(name)))
    if len(text) <= most:
        return text
    return f"{text[: most * 2 // 3]}…{text[-(most // 3) + 1 :]}"


def shown_figure(value: Any) -> str:
    """Return a number with four digits that count."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def shown_percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %"


def shown_interval(interval: Sequence[float] | None) -> str:
    """Return both ends of an interval."""
    return f"{shown_figure(interval[0])} to {shown_figure(interval[1])}" if interval else "–"


def shown_seconds(seconds: float) -> str:
    """Return a time that is only estimated."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
