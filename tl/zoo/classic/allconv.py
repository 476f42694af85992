"""The all convolutional net: pooling replaced by convolutions with a stride."""

from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style


def allconv(
    pixels: Any,
    *,
    classes: int | None = None,
    style: Style = PAPER_STYLES["allconv"],
    pooling: bool = False,
) -> Any:
    """Build All-CNN-C, or with pooling ConvPool-CNN-C, which has exactly the same weights.

    On 32x32 pictures the maps are 32x32x96 twice, 16x16x96, 16x16x192 twice, 8x8x192, 6x6x192
    twice and 6x6 of the classes, which are averaged. With 10 of them it has 1,369,738 weights, of
    which 1,258 are biases: the paper's "1.4 million".

    Other than in the paper: nothing in the network.

    Args:
        pixels: (batch, height, width, channels), 9x9 or more.
        classes: None for the features.
        style: activation and so on; with dropout, 0.4 of its share of the pixels are dropped, too
            (the paper's 20 and 50 %).
        pooling: max pooling of windows of 3 every 2 after the third and the sixth convolution,
            which then have no stride.

    Returns:
        The last maps before the classes averaged over their positions, (batch, 192); or logits
        (batch, classes).

    Source: Springenberg et al. 2015, "Striving for simplicity: the all convolutional net", tables
    1 and 2, section 3.2.
    """
    check_style("allconv", style)
    x = parts.dropout(pixels, 0.4 * style.dropout, "pixels_dropout")
    for stage, filters in ((1, 96), (2, 192)):
        x = parts.conv(x, style, f"conv{stage}_1", filters, 3)
        x = parts.conv(x, style, f"conv{stage}_2", filters, 3)
        x = parts.conv(x, style, f"conv{stage}_3", filters, 3, strides=1 if pooling else 2)
        if pooling:
            x = parts.max_pool(x, f"pool{stage}", 3, 2, "same")
        x = parts.dropout(x, style.dropout, f"dropout{stage}")
    x = parts.conv(x, style, "conv3_1", 192, 3, padding="valid")
    x = parts.conv(x, style, "conv3_2", 192, 1)
    if classes is None:
        return parts.average(x)
    x = keras.layers.Conv2D(classes, 1, dtype="float32", name="conv3_3")(x)
    return parts.average(x, "logits")
