"""How a command shows a path: as short as it can be typed from here."""

from pathlib import Path


def shown_path(path: Path) -> Path:
    """Return the path relative to the working directory where it lies below, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
