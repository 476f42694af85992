"""GoogLeNet, the first Inception: parallel filters of several sizes, and classifiers half-way."""

from dataclasses import replace
from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style

# Table 1 of the paper: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

LOSS_WEIGHTS = {"logits": 1.0, "auxiliary_1": 0.3, "auxiliary_2": 0.3}
"""Of the three outputs while training; section 5 of the paper."""


def googlenet(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["googlenet"]
) -> Any:
    """Build GoogLeNet as it is used: without the auxiliary classifiers.

    On 224x224 pictures the maps are 112x112x64, 56x56x64, 56x56x192, 28x28x256, 28x28x480,
    14x14x512 thrice, 14x14x528, 14x14x832, 7x7x832 and 7x7x1024. With 1000 classes it has 6,998,552
    weights: the paper's table adds up to 6.8 million, and its text says "12x fewer" than AlexNet.

    Other than in the paper: nothing in the network.

    Args:
        pixels: (batch, height, width, channels), 32x32 or more.
        classes: None for the features.
        style: activation and so on.

    Returns:
        The last maps averaged over their positions, (batch, 1024); or logits (batch, classes).

    Source: Szegedy et al. 2015, "Going deeper with convolutions", table 1.
    """
    _, _, last = _trunk(pixels, style)
    features = parts.average(last)
    return features if classes is None else parts.logits(features, style, classes)


def googlenet_in_training(
    pixels: Any, classes: int, style: Style = PAPER_STYLES["googlenet"]
) -> tuple[keras.Model, keras.Model]:
    """Build GoogLeNet with both auxiliary classifiers, and the same layers without them.

    Train the first with a loss for each output, weighted by ``LOSS_WEIGHTS``; then use the second,
    which has learnt with it. The auxiliary classifiers sit on 4a and 4d: average pooling of 5x5
    every 3, 128 1x1 convolutions, 1024 units, dropout of 70 %, the classes.

    Args:
        pixels: Keras input, (batch, height, width, channels), of a fixed size of 65x65 or more.
        classes: width of each output.
        style: activation and so on; without dropout there is none in the auxiliary ones, either.

    Returns:
        Model of a dict of logits, each (batch, classes), with the keys of ``LOSS_WEIGHTS``; and
        model of the logits alone.
    """
    first, second, last = _trunk(pixels, style)
    logits = parts.logits(parts.average(last), style, classes)
    outputs = {
        "logits": logits,
        "auxiliary_1": _auxiliary(first, style, "auxiliary_1", classes),
        "auxiliary_2": _auxiliary(second, style, "auxiliary_2", classes),
    }
    training = keras.Model(pixels, outputs, name="googlenet_in_training")
    return training, keras.Model(pixels, logits, name="googlenet")


def _trunk(pixels: Any, style: Style) -> tuple[Any, Any, Any]:
    """Return the maps of 4a, 4d and 5b."""
    check_style("googlenet", style)
    x = parts.conv(pixels, style, "conv1", 64, 7, strides=2, padding=3)
    x = parts.max_pool(x, "pool1", 3, 2, "same")
    x = parts.local_response(x, style, "norm1")
    x = parts.conv(x, style, "conv2_reduce", 64, 1)
    x = parts.conv(x, style, "conv2", 192, 3)
    x = parts.local_response(x, style, "norm2")
    x = parts.max_pool(x, "pool2", 3, 2, "same")
    maps = {}
    for name, filters in _INCEPTIONS.items():
        x = maps[name] = _inception(x, style, f"inception_{name}", filters)
        if name in ("3b", "4e"):
            x = parts.max_pool(x, f"pool{name[0]}", 3, 2, "same")
    return maps["4a"], maps["4d"], maps["5b"]


def _inception(x: Any, style: Style, name: str, filters: tuple[int, ...]) -> Any:
    single, reduce3, conv3, reduce5, conv5, projected = filters
    pooled = parts.max_pool(x, f"{name}_pool", 3, 1, "same")
    by3 = parts.conv(x, style, f"{name}_3x3_reduce", reduce3, 1)
    by5 = parts.conv(x, style, f"{name}_5x5_reduce", reduce5, 1)
    branches = [
        parts.conv(x, style, f"{name}_1x1", single, 1),
        parts.conv(by3, style, f"{name}_3x3", conv3, 3),
        parts.conv(by5, style, f"{name}_5x5", conv5, 5),
        parts.conv(pooled, style, f"{name}_pool_project", projected, 1),
    ]
    return keras.layers.Concatenate(name=f"{name}_output")(branches)


def _auxiliary(x: Any, style: Style, name: str, classes: int) -> Any:
    x = keras.layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)
    x = parts.conv(x, style, f"{name}_conv", 128, 1)
    x = keras.layers.Flatten(name=f"{name}_flatten")(x)
    x = parts.dense(x, replace(style, dropout=0.0), f"{name}_fc", 1024)
    x = parts.dropout(x, 0.7 if style.dropout else 0.0, f"{name}_dropout")
    return keras.layers.Dense(classes, dtype="float32", name=name)(x)
