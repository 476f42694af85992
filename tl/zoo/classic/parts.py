"""The pieces that all classics are made of: a finished convolution, pooling, the classifier.

Receives tensors and a `Style`, gives tensors; names are given, so that weights are found by them.
"""

from typing import Any

import keras

from tl.zoo.classic.style import Style
from tl.zoo.layers.grouped import GroupedConv2D
from tl.zoo.layers.local_response import LocalResponseNormalization
from tl.zoo.layers.maxout import Maxout

MAXOUT_PIECES = 2
_EPSILON = 1e-5
_MOMENTUM = 0.9

Padding = int | str
"""``same`` or ``valid`` as Keras means them, or zeros on each of the four sides.

With a stride above 1, ``same`` pads the right and the bottom more, unlike the papers' frameworks.
"""


def conv(
    x: Any,
    style: Style,
    name: str,
    filters: int,
    kernel: int | tuple[int, int],
    *,
    strides: int = 1,
    padding: Padding = "same",
    groups: int = 1,
    activate: bool = True,
) -> Any:
    """Convolve, normalise and activate: layers `name`, `name`_norm and `name`_activation.

    Args:
        x: (batch, height, width, channels).
        style: decides what follows the convolution.
        name: of the convolution.
        filters: output channels, after maxout.
        kernel: (height, width) of it, or one number for both.
        strides: along both axes.
        padding: see ``Padding``.
        groups: of channels that do not see each other.
        activate: False where a sum with a shortcut comes first.
    """
    layers = keras.layers
    if isinstance(padding, int):
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x) if padding else x
        padding = "valid"
    batch_norm = style.normalisation == "batch"
    kind = GroupedConv2D if groups > 1 else layers.Conv2D
    x = kind(
        filters * (_pieces(style) if activate else 1),
        kernel,
        strides=strides,
        padding=padding,
        groups=groups,
        use_bias=not batch_norm,
        kernel_initializer=_initializer(style),
        name=name,
    )(x)
    if batch_norm:
        x = layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return activation(x, style, f"{name}_activation") if activate else x


def dense(x: Any, style: Style, name: str, units: int) -> Any:
    """Return a hidden fully connected layer with dropout before it, (batch, units)."""
    x = dropout(x, style.dropout, f"{name}_dropout")
    x = keras.layers.Dense(
        units * _pieces(style), kernel_initializer=_initializer(style), name=name
    )(x)
    return activation(x, style, f"{name}_activation")


def activation(x: Any, style: Style, name: str) -> Any:
    """Apply the style's nonlinearity."""
    layers = keras.layers
    if style.activation == "maxout":
        return Maxout(MAXOUT_PIECES, name=name)(x)
    if style.activation == "leaky_relu":
        return layers.LeakyReLU(negative_slope=0.01, name=name)(x)
    return layers.Activation(style.activation, name=name)(x)


def local_response(x: Any, style: Style, name: str) -> Any:
    """Normalise where the paper does, if the style is the paper's."""
    if style.normalisation != "local_response":
        return x
    return LocalResponseNormalization(name=name)(x)


def max_pool(x: Any, name: str, size: int, strides: int, padding: str = "valid") -> Any:
    """Keep the largest value of every window; they overlap where `size` is above `strides`."""
    return keras.layers.MaxPooling2D(size, strides, padding, name=name)(x)


def dropout(x: Any, share: float, name: str) -> Any:
    """Drop a share while training; no layer at all where that is 0."""
    return keras.layers.Dropout(share, name=name)(x) if share else x


def average(x: Any, name: str = "average_pool") -> Any:
    """Return the mean over all positions, (batch, channels)."""
    return keras.layers.GlobalAveragePooling2D(name=name)(x)


def logits(x: Any, style: Style, classes: int, name: str = "logits") -> Any:
    """Return the scores of the classes, (batch, classes), float32, with dropout before them."""
    x = dropout(x, style.dropout, f"{name}_dropout")
    return keras.layers.Dense(classes, dtype="float32", name=name)(x)


def _pieces(style: Style) -> int:
    return MAXOUT_PIECES if style.activation == "maxout" else 1


def _initializer(style: Style) -> str:
    """Keep the variance from layer to layer: He et al. 2015 for rectifiers, Glorot 2010 else."""
    saturates = style.activation in ("sigmoid", "tanh")
    return "glorot_uniform" if saturates else "he_normal"
