"""Arguments of the wrong type, refused where the caller gives them and not deep inside."""

import os
from collections.abc import Iterable
from numbers import Integral, Real


def check_type(name: str, value: object, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Refuse a value of another type.

    Args:
        name: of the argument.
        value: that was given.
        kinds: that will do.
        wanted: the same in words.

    Raises:
        TypeError: with the argument, the type of the value and what is wanted.
    """
    if not isinstance(value, kinds):
        raise TypeError(f"{name} is {_shown(value)}: give {wanted}")


def check_text(name: str, value: object) -> None:
    """Refuse what is no `str`."""
    check_type(name, value, str, "a str")


def check_path(name: str, value: object) -> None:
    """Refuse what is neither a path nor None."""
    check_type(name, value, (str, os.PathLike, type(None)), "a path, a str or os.PathLike")


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no number."""
    check_type(name, value, Real, "seconds, an int or a float")


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number."""
    check_type(name, value, Integral, "a whole number, an int")


def byte_strings(values: Iterable[bytes | bytearray | memoryview]) -> list[bytes]:
    """Return the byte strings of a call.

    Raises:
        TypeError: one byte string, a text, or something else among them.
    """
    wanted = "a list of byte strings, one an example"
    check_type("values", values, Iterable, wanted)
    if isinstance(values, str | bytes | bytearray | memoryview):
        raise TypeError(f"values is {_shown(values)}: give {wanted}, such as [value]")
    found = []
    for place, value in enumerate(values):
        check_type(f"values[{place}]", value, (bytes, bytearray, memoryview), "bytes")
        found.append(bytes(value))
    return found


def _shown(value: object) -> str:
    """Show a value with its type; what is long only by its type."""
    kind = type(value).__qualname__
    if value is None:
        return kind
    text = repr(value) if isinstance(value, str | int | float) else ""
    return f"{text}, of type {kind}" if 0 < len(text) < 80 else f"of type {kind}"
