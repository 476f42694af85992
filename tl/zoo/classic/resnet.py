"""ResNet-18 and 34, the plain network they are compared with, and ResNeXt-50 (32x4d)."""

from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style

_WIDTHS = (64, 128, 256, 512)


def resnet18(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["resnet18"]
) -> Any:
    """Build ResNet-18: 11,689,512 weights to train with 1000 classes; see ``resnet34``."""
    check_style("resnet18", style)
    x = _basic_stages(pixels, style, (2, 2, 2, 2), shortcuts=True)
    return _top(x, style, classes)


def resnet34(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["resnet34"]
) -> Any:
    """Build ResNet-34: 21,797,672 weights to train with 1000 classes.

    On 224x224 pictures the maps are 112x112x64, 56x56x64, 28x28x128, 14x14x256 and 7x7x512.

    Other than in the paper: where a shortcut changes size it is a 1x1 convolution with a stride
    (the paper's option B; its 34 layers in table 2 have option A, zeros for the new channels), as
    in torchvision, whose weights fit.

    Args:
        pixels: (batch, height, width, channels), 32x32 or more.
        classes: None for the features.
        style: activation and so on.

    Returns:
        The last maps averaged over their positions, (batch, 512); or logits (batch, classes).

    Source: He et al. 2015, "Deep residual learning for image recognition", table 1 and figure 3.
    """
    check_style("resnet34", style)
    x = _basic_stages(pixels, style, (3, 4, 6, 3), shortcuts=True)
    return _top(x, style, classes)


def plain34(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["plain34"]
) -> Any:
    """Build ``resnet34`` without its shortcuts: harder to train (figure 4 of its paper)."""
    check_style("plain34", style)
    x = _basic_stages(pixels, style, (3, 4, 6, 3), shortcuts=False)
    return _top(x, style, classes)


def resnext50(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["resnext50"]
) -> Any:
    """Build ResNeXt-50 (32x4d): 25,028,904 weights to train with 1000 classes.

    Each block is 1x1, 3x3 in 32 groups, 1x1 to twice as many channels; the blocks of the first
    stage have 32 groups of 4 channels, hence 32x4d.

    Other than in the paper: nothing in the network; the stride is in the 3x3 convolution, as in
    the paper's code and torchvision, whose weights fit.

    Args:
        pixels: (batch, height, width, channels), 32x32 or more.
        classes: None for the features.
        style: activation and so on.

    Returns:
        The last maps averaged over their positions, (batch, 2048); or logits (batch, classes).

    Source: Xie et al. 2017, "Aggregated residual transformations for deep neural networks", table
    1.
    """
    check_style("resnext50", style)
    x = _stem(pixels, style)
    for stage, (width, blocks) in enumerate(zip(_WIDTHS, (3, 4, 6, 3), strict=True), start=1):
        for block in range(1, blocks + 1):
            strides = 2 if block == 1 and stage > 1 else 1
            x = _grouped_block(x, style, f"stage{stage}_block{block}", width, strides)
    return _top(x, style, classes)


def _stem(pixels: Any, style: Style) -> Any:
    x = parts.conv(pixels, style, "conv1", 64, 7, strides=2, padding=3)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return parts.max_pool(x, "pool1", 3, 2)


def _basic_stages(pixels: Any, style: Style, blocks: tuple[int, ...], *, shortcuts: bool) -> Any:
    x = _stem(pixels, style)
    for stage, (width, count) in enumerate(zip(_WIDTHS, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            strides = 2 if block == 1 and stage > 1 else 1
            name = f"stage{stage}_block{block}"
            inner = parts.conv(x, style, f"{name}_conv1", width, 3, strides=strides, padding=1)
            inner = parts.conv(inner, style, f"{name}_conv2", width, 3, padding=1,
                               activate=not shortcuts)  # fmt: skip
            x = _add(inner, x, style, name, strides) if shortcuts else inner
    return x


def _grouped_block(x: Any, style: Style, name: str, width: int, strides: int) -> Any:
    inner = parts.conv(x, style, f"{name}_conv1", 2 * width, 1)
    inner = parts.conv(inner, style, f"{name}_conv2", 2 * width, 3, strides=strides, padding=1,
                       groups=32)  # fmt: skip
    inner = parts.conv(inner, style, f"{name}_conv3", 4 * width, 1, activate=False)
    return _add(inner, x, style, name, strides)


def _add(inner: Any, x: Any, style: Style, name: str, strides: int) -> Any:
    """Add what came in, through a 1x1 convolution where its shape is another."""
    channels = inner.shape[-1]
    if strides > 1 or x.shape[-1] != channels:
        x = parts.conv(x, style, f"{name}_shortcut", channels, 1, strides=strides, padding=0,
                       activate=False)  # fmt: skip
    x = keras.layers.Add(name=f"{name}_sum")([inner, x])
    return parts.activation(x, style, f"{name}_out")


def _top(x: Any, style: Style, classes: int | None) -> Any:
    x = parts.average(x)
    return x if classes is None else parts.logits(x, style, classes)
