"""Which pictures a network takes. No Keras here: what is wrong is said before it is imported."""

from tl.errors import ConfigError
from tl.zoo.backbones import Backbone

LARGEST_SIDE = 16_384
"""In pixels. Beyond it fully connected layers have more weights than TensorFlow counts."""


def has_classifier(backbone: Backbone) -> bool:
    """Say whether there is a published network with classes; there is none of ``tl_small``."""
    return not backbone.feature_layers


def check_input(
    backbone: Backbone, size: tuple[int, int], channels: int, *, features: bool
) -> None:
    """Refuse pictures that a network cannot take.

    Args:
        backbone: row of the table.
        size: (height, width) in pixels.
        channels: of the picture.
        features: the backbone of it, in place of the network of its paper.

    Raises:
        ConfigError: a side below the network's minimum or above ``LARGEST_SIDE``, or channels
            other than 1 and 3; of a backbone, which takes RGB, other than 3.
    """
    backbone.check_size(size, option="--input")
    if max(size) > LARGEST_SIDE:
        raise ConfigError(
            f"pictures of {size[0]}x{size[1]} are too large: pass --input {LARGEST_SIDE} or less"
        )
    if channels not in (1, 3):
        raise ConfigError(f"pictures have 1 channel (grey) or 3 (RGB), not {channels}")
    if (features or not has_classifier(backbone)) and channels != 3:
        raise ConfigError(
            f"as a backbone {backbone.name} takes RGB, 3 channels, not {channels}: pictures in "
            "grey are turned to RGB before it"
        )
