"""Words for people: numbers with their nouns, names of files, what has changed."""

from collections.abc import Mapping
from typing import Any


def counted(count: int, noun: str) -> str:
    """Return such as ``1 picture`` or ``1,200 pictures``; ``class`` becomes ``classes``."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def storable(name: str) -> str:
    """Return a file's name as UTF-8 can hold it; bytes of it that are none are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def first_line(error: BaseException, most: int = 200) -> str:
    """Return an error's first line, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "")[:most] or type(error).__name__


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what has changed between named values, such as ``epochs was 3 and is 2``."""
    return [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
