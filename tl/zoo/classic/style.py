"""What can be varied in every classic: activation, normalisation, dropout.

One small value for all, so that a lecture compares sigmoid with ReLU, or dropout with batch
normalisation, in any of them. No Keras here: names and options are checked before it is imported.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from tl.errors import ConfigError, nearest

Activation = Literal["relu", "sigmoid", "tanh", "leaky_relu", "elu", "maxout"]
Normalisation = Literal["none", "batch", "local_response"]


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"there is no {what} '{value}'; {nearest(value, choices)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the layers of a network are finished.

    Attributes:
        activation: after every convolution and hidden layer. ``leaky_relu`` has slope 0.01 below 0
            (Maas et al. 2013), ``elu`` alpha 1 (Clevert et al. 2016), ``maxout`` two pieces, so
            twice the weights (Goodfellow et al. 2013).
        normalisation: ``batch`` after every convolution, before its activation (Ioffe and Szegedy
            2015); ``local_response`` where the paper has it; or ``none``.
        dropout: share dropped before each fully connected layer; in `allconv`, which has none,
            after each stage. 0 for no dropout.

    Raises:
        ConfigError: a value that there is not.
    """

    activation: Activation = "relu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _one_of("activation", self.activation, get_args(Activation))
        _one_of("normalisation", self.normalisation, get_args(Normalisation))
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout = {self.dropout}: give a share from 0 to below 1")


PAPER_STYLES = {
    "lenet5": Style(activation="tanh"),
    "alexnet": Style(normalisation="local_response", dropout=0.5),
    "zfnet": Style(normalisation="local_response", dropout=0.5),
    "googlenet": Style(normalisation="local_response", dropout=0.4),
    "allconv": Style(dropout=0.5),
    "plain34": Style(normalisation="batch"),
    "resnet18": Style(normalisation="batch"),
    "resnet34": Style(normalisation="batch"),
    "resnext50": Style(normalisation="batch"),
    "inception_v4": Style(normalisation="batch", dropout=0.2),
}
"""Every classic as its paper has it."""

_SHORTCUTS = ("resnet18", "resnet34", "resnext50")


def check_style(architecture: str, style: Style) -> None:
    """Refuse a style that has no place in an architecture.

    Raises:
        ConfigError: local response normalisation or maxout where there is no room for it.
    """
    paper = PAPER_STYLES[architecture]
    if style.normalisation == "local_response" != paper.normalisation:
        raise ConfigError(
            f"{architecture} has no place for local response normalisation; take normalisation "
            "none or batch"
        )
    if style.activation == "maxout" and architecture in _SHORTCUTS:
        raise ConfigError(
            f"{architecture} cannot have maxout: it would halve the channels of a sum with its "
            "shortcut; take another activation, or plain34, which has no shortcuts"
        )


def has_dropout(architecture: str) -> bool:
    """Say whether a backbone of it has dropout: most have it where a backbone has ended.

    The head that follows has a dropout of its own.
    """
    return architecture == "allconv"


def restyled(architecture: str, changes: dict[str, Any]) -> Style:
    """Return the style of an architecture's paper with changes, for a backbone.

    Args:
        architecture: a key of ``PAPER_STYLES``.
        changes: attributes of ``Style``.

    Raises:
        ConfigError: a value that there is not, or that has no place here.
    """
    if "dropout" in changes and not has_dropout(architecture):
        raise ConfigError(
            f"dropout of {architecture} belongs to its fully connected layers, which a backbone "
            "leaves out; set model.dropout for the head"
        )
    style = replace(PAPER_STYLES[architecture], **changes)
    check_style(architecture, style)
    return style
