"""ZFNet: AlexNet with a finer first layer, found by looking at what its filters see."""

from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style


def zfnet(pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["zfnet"]) -> Any:
    """Build ZFNet.

    On 224x224 pictures the maps are 110x110x96, 55x55x96, 26x26x256, 13x13x256, 13x13x384 twice,
    13x13x256 and 6x6x256; then come 4096, 4096 and the classes. With 1000 of them it has
    62,357,608 weights.

    Other than in the paper: contrast normalisation is AlexNet's, over neighbouring channels; the
    filters of the first layer are not clipped to a length of 0.1 while training.

    Args:
        pixels: (batch, height, width, channels); 53x53 or more, and of a fixed size with classes.
        classes: None for the features.
        style: activation and so on.

    Returns:
        The last pooling averaged over its positions, (batch, 256); or logits (batch, classes).

    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", figure
    3.
    """
    check_style("zfnet", style)
    x = parts.conv(pixels, style, "conv1", 96, 7, strides=2, padding=1)
    x = parts.max_pool(x, "pool1", 3, 2, "same")
    x = parts.local_response(x, style, "norm1")
    x = parts.conv(x, style, "conv2", 256, 5, strides=2, padding="valid")
    x = parts.max_pool(x, "pool2", 3, 2, "same")
    x = parts.local_response(x, style, "norm2")
    x = parts.conv(x, style, "conv3", 384, 3)
    x = parts.conv(x, style, "conv4", 384, 3)
    x = parts.conv(x, style, "conv5", 256, 3)
    x = parts.max_pool(x, "pool5", 3, 2)
    if classes is None:
        return parts.average(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = parts.dense(x, style, "fc6", 4096)
    x = parts.dense(x, style, "fc7", 4096)
    # As in AlexNet, dropout is in the first two fully connected layers only.
    return keras.layers.Dense(classes, dtype="float32", name="logits")(x)
