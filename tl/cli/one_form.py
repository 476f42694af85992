"""Refuse two forms of output at once, where the last would win unseen."""

from tl.errors import ConfigError


def one_form(**asked: bool) -> str | None:
    """Return the form that was asked for; None for that for people.

    Args:
        asked: option without its dashes -> whether it was given.

    Raises:
        ConfigError: more than one.
    """
    given = [name for name, is_given in asked.items() if is_given]
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(f'--{name}' for name in given)} are two forms of output: give one"
        )
    return given[0] if given else None
