"""Errors that a user can act on, each with the exit code of the command that ends with it.

    TlError                1  anything below; the command line prints it as one line
    ├── ConfigError        2  a flag, a key of a config file, an unknown name
    ├── DatasetError       1  what is wrong with the pictures or their folders
    ├── WeightsError       1  pretrained weights: absent, unreachable, of another network
    ├── TrainingError      1  a phase of training cannot go on
    ├── ExportError        1  the SavedModel cannot be written, or is not what it should be
    ├── TrackingError      1  the experiment store cannot be used
    ├── PromotionError     1  a label cannot be moved to a version
    ├── PredictionError    1  a model or a server did not answer
    └── Interrupted        1  Ctrl-C; what was saved is named in the message

Every message says what was wrong, the value that was seen, and what to do.
"""

import difflib
from collections.abc import Iterable


class TlError(Exception):
    """Base of all errors that the command line shows as one line without a traceback."""

    exit_code = 1


class ConfigError(TlError):
    """Refuse a flag, a config key or a name before anything slow happens."""

    exit_code = 2


class DatasetError(TlError):
    """Refuse a dataset, naming the file or class."""


class WeightsError(TlError):
    """Say which weights are missing or do not fit."""


class TrainingError(TlError):
    """Say why training cannot go on."""


class ExportError(TlError):
    """Say why no SavedModel was written; nothing half-written stays visible."""


class TrackingError(TlError):
    """Say why the experiment store cannot be used."""


class PromotionError(TlError):
    """Say why a label could not be moved; what was served before still is."""


class PredictionError(TlError):
    """Say why a model or a server gave no prediction."""


class Interrupted(TlError):
    """Report that the user stopped a run, and what is kept of it."""


def nearest(word: str, choices: Iterable[str], count: int = 3) -> str:
    """Return a hint such as ``did you mean 'resnet50'?`` for a mistyped name.

    Args:
        word: what the user typed.
        choices: the valid names.
        count: how many near names to list at most.

    Returns:
        The hint, or all choices when none is near and they are few, or an empty string.
    """
    known = sorted(choices)
    close = difflib.get_close_matches(word.lower(), known, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    if len(known) <= 12:
        return "valid: " + ", ".join(known) + "."
    return ""
