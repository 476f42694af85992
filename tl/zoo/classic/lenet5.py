"""LeNet-5: convolution, subsampling, convolution, subsampling, as networks are built ever since."""

from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style


def lenet5(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["lenet5"]
) -> Any:
    """Build LeNet-5.

    C1 (6 maps, 28x28), S2 (14x14), C3 (16 maps, 10x10), S4 (5x5), C5 (120 maps, 1x1); then F6 (84
    units) and the output. On 32x32 pictures of one channel with 10 classes it has 61,706 weights;
    the paper's, whose C3 sees only some maps of S2, has 60,000 to learn.

    Other than in the paper: C3 sees all maps, subsampling is a plain average, tanh is not scaled,
    and the output is linear in place of radial basis functions.

    Args:
        pixels: (batch, height, width, channels), 32x32 or more.
        classes: None for the features.
        style: activation and so on.

    Returns:
        C5 averaged over its positions, (batch, 120); or logits (batch, classes).

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", section
    II.B.
    """
    check_style("lenet5", style)
    x = parts.conv(pixels, style, "c1", 6, 5, padding="valid")
    x = keras.layers.AveragePooling2D(2, name="s2")(x)
    x = parts.conv(x, style, "c3", 16, 5, padding="valid")
    x = keras.layers.AveragePooling2D(2, name="s4")(x)
    x = parts.conv(x, style, "c5", 120, 5, padding="valid")
    x = parts.average(x)
    if classes is None:
        return x
    return parts.logits(parts.dense(x, style, "f6", 84), style, classes)
