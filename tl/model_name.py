"""Names of models: folders, and parts of URLs."""

import re

from tl.errors import ConfigError


def check_model_name(name: str) -> str:
    """Return the name, or refuse what cannot be a folder and a part of a URL.

    Raises:
        ConfigError: with the reason.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError(
            f"--name {name!r}: a model's name is a folder and a part of a URL; use up to 100 "
            "letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    return name


def model_name_of(dataset_name: str) -> str:
    """Turn a dataset's name into a valid model name."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", dataset_name).lstrip("._-")[:100]
    return cleaned or "model"
