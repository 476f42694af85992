"""Print a table with all of its digits, also where the terminal is narrow."""

from typing import Any


def print_whole(table: Any) -> None:
    """Print a table of rich, as wide as it has to be.

    Digits that rich cuts off to fit would be wrong ones; a narrow terminal breaks the lines
    instead.
    """
    from rich.console import Console

    wide = Console(width=10_000).measure(table).maximum
    Console(highlight=False, width=max(Console().width, wide)).print(table)
