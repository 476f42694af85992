"""Durations as people type them, and as they read them."""

import math
import re

from tl.errors import ConfigError

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"\d+(?:\.\d+)?"
_PATTERN = re.compile(rf"(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?")


def parse_duration(text: str, name: str) -> float:
    """Return seconds from such as ``90s``, ``5m``, ``1h30m``, ``1.5h`` or plain ``300``.

    Args:
        text: as typed; hours, minutes, seconds, in this order.
        name: of the option, for the message.

    Raises:
        ConfigError: not a duration, or not above 0.
    """
    written = text.strip().lower()
    if re.fullmatch(_NUMBER, written):
        seconds = float(written)
    else:
        found = _PATTERN.fullmatch(written)
        if found is None or not written:
            raise ConfigError(
                f"{name} {text!r} is no duration; write hours, minutes and seconds as in 90s, 5m "
                "or 1h30m, or a number of seconds"
            )
        parts = zip(found.groups(), _UNITS_S.values(), strict=True)
        seconds = sum(float(number) * unit for number, unit in parts if number)
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{name} {text!r} leaves no time; give more than 0 seconds, as in 5m")
    return seconds


def duration_words(seconds: float) -> str:
    """Return such as ``8.4 s``, ``45 s``, ``2 min 5 s`` or ``1 h 30 min``: what a person tells."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
