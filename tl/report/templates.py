"""The templates of this folder, and how values get into them."""

from pathlib import Path
from typing import Any

from tl.report.shown import shown_text


def templates(*, html: bool) -> Any:
    """Return an environment of Jinja in which a name that is not there is an error.

    Args:
        html: escape every value; Markdown escapes by a filter of its own.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=html,
        undefined=StrictUndefined,
        finalize=shown_text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )
