"""AlexNet: the network that won ImageNet 2012 and began deep learning for pictures."""

from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style


def alexnet(
    pixels: Any,
    *,
    classes: int | None = None,
    style: Style = PAPER_STYLES["alexnet"],
    groups: int = 1,
) -> Any:
    """Build AlexNet.

    On 227x227 pictures the maps are 55x55x96, 27x27x96, 27x27x256, 13x13x256, 13x13x384 twice,
    13x13x256 and 6x6x256; then come 4096, 4096 and the classes. With 1000 of them it has
    62,378,344 weights, or 60,965,224 with the paper's two groups, its "60 million". Pooling
    overlaps: windows of 3 every 2.

    Other than in the paper: one group by default, as there is one GPU; pictures of 227, not 224,
    which is what the paper's 55x55 takes; dropout scales while training, not in testing.

    Args:
        pixels: (batch, height, width, channels); 67x67 or more, and of a fixed size with classes.
        classes: None for the features.
        style: activation and so on.
        groups: 2 for the paper's, whose second, fourth and fifth convolution each see only the
            half of the maps that lay on the same GPU.

    Returns:
        The last pooling averaged over its positions, (batch, 256); or logits (batch, classes).

    Source: Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional
    neural networks", section 3 and figure 2.
    """
    check_style("alexnet", style)
    x = parts.conv(pixels, style, "conv1", 96, 11, strides=4, padding="valid")
    x = parts.local_response(x, style, "norm1")
    x = parts.max_pool(x, "pool1", 3, 2)
    x = parts.conv(x, style, "conv2", 256, 5, groups=groups)
    x = parts.local_response(x, style, "norm2")
    x = parts.max_pool(x, "pool2", 3, 2)
    x = parts.conv(x, style, "conv3", 384, 3)
    x = parts.conv(x, style, "conv4", 384, 3, groups=groups)
    x = parts.conv(x, style, "conv5", 256, 3, groups=groups)
    x = parts.max_pool(x, "pool5", 3, 2)
    if classes is None:
        return parts.average(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = parts.dense(x, style, "fc6", 4096)
    x = parts.dense(x, style, "fc7", 4096)
    # The paper's dropout is in the first two fully connected layers: not before the last.
    return keras.layers.Dense(classes, dtype="float32", name="logits")(x)
