"""The networks that are summarised: as their papers have them, or as `tl` uses them."""

import keras

from tl.errors import ConfigError
from tl.zoo.backbones import Backbone
from tl.zoo.build import CLASSICS, build_backbone
from tl.zoo.summary.unallocated import unallocated

IMAGENET_CLASSES = 1000
# Their papers have ten: digits, and CIFAR-10.
_CLASSES = {"lenet5": 10, "allconv": 10}
LARGEST_SIDE = 16_384
"""In pixels. Beyond it fully connected layers have more weights than TensorFlow counts."""


def has_classifier(backbone: Backbone) -> bool:
    """Say whether there is a published network with classes; there is none of ``tl_small``."""
    return not backbone.feature_layers


def unallocated_network(
    backbone: Backbone,
    image_size: tuple[int, int] | None = None,
    *,
    channels: int = 3,
    features: bool = False,
) -> keras.Model:
    """Return a network that cannot run, in milliseconds and without memory for its weights.

    See ``described_network``.
    """
    with unallocated():
        return described_network(backbone, image_size, channels=channels, features=features)


def described_network(
    backbone: Backbone,
    image_size: tuple[int, int] | None = None,
    *,
    channels: int = 3,
    features: bool = False,
) -> keras.Model:
    """Return the network of a paper with random weights, or the backbone of it.

    Args:
        backbone: row of the table.
        image_size: (height, width) in pixels, the backbone's own when None.
        channels: of the picture, 1 or 3.
        features: the backbone as ``build_backbone`` gives it, scaling of pixels included, in place
            of the classification network of the paper. Without a classifier always so.

    Raises:
        ConfigError: a size that the network cannot take, or other channels.
    """
    size = image_size or backbone.image_size
    features = features or not has_classifier(backbone)
    _check(backbone, size, channels, features=features)
    if features:
        return build_backbone(backbone, size)
    return _classifier(backbone, (*size, channels))


def _classifier(backbone: Backbone, shape: tuple[int, int, int]) -> keras.Model:
    if backbone.classic is not None:
        pixels = keras.Input(shape, name="image")
        logits = CLASSICS[backbone.classic](
            pixels,
            classes=_CLASSES.get(backbone.classic, IMAGENET_CLASSES),
            style=backbone.style,
            **backbone.arguments,
        )
        return keras.Model(pixels, logits, name=backbone.classic)
    assert backbone.keras_class is not None  # one of the two builds it
    build = getattr(keras.applications, backbone.keras_class)
    return build(weights=None, input_shape=shape, **backbone.arguments)


def _check(backbone: Backbone, size: tuple[int, int], channels: int, *, features: bool) -> None:
    least = backbone.minimum_size
    shown = f"{size[0]}x{size[1]}"
    if min(size) < least:
        raise ConfigError(
            f"pictures of {shown} are too small for {backbone.name}: it needs at least "
            f"{least}x{least}. Pass --input {least} or more"
        )
    if max(size) > LARGEST_SIDE:
        raise ConfigError(f"pictures of {shown} are too large: pass --input {LARGEST_SIDE} or less")
    if channels not in (1, 3):
        raise ConfigError(f"pictures have 1 channel (grey) or 3 (RGB), not {channels}")
    if features and channels != 3:
        raise ConfigError(
            f"as a backbone {backbone.name} takes RGB, 3 channels, not {channels}: pictures in "
            "grey are turned to RGB before it"
        )
