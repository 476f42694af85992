"""A page as a browser reads it, as far as tests ask: elements, their text, tables."""

from html.parser import HTMLParser
from typing import Any


class Parsed(HTMLParser):
    """What stands on a page.

    Attributes:
        elements: name and attributes of each, in order.
        tables: rows of cells' texts of each.
        words: all text, but for style.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[str]]] = []
        self.words = ""
        self._is_style = self._is_cell = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._is_cell = True
        elif tag == "style":
            self._is_style = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._is_style = False
        elif tag in ("td", "th"):
            self._is_cell = False

    def handle_data(self, data: str) -> None:
        if self._is_style:
            return
        self.words += data
        if self._is_cell:
            self.tables[-1][-1][-1] += data.strip()

    def table(self, first: str) -> list[list[str]]:
        """Return the table in whose head or first cells this stands."""
        return next(rows for rows in self.tables if first in rows[0])

    def rows(self) -> dict[str, list[str]]:
        """Return the rows of all tables by their first cell."""
        return {row[0]: row[1:] for rows in self.tables for row in rows if row}

    def named(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]
