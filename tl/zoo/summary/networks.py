"""The networks that are summarised: as their papers have them, or as `tl` uses them."""

import keras

from tl.zoo.backbones import Backbone
from tl.zoo.build import CLASSICS, build_backbone
from tl.zoo.summary.inputs import check_input, has_classifier
from tl.zoo.summary.unallocated import unallocated

IMAGENET_CLASSES = 1000
# Their papers have ten: digits, and CIFAR-10.
_CLASSES = {"lenet5": 10, "allconv": 10}


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
    check_input(backbone, size, channels, features=features)
    if features or not has_classifier(backbone):
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
