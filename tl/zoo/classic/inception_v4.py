"""Inception-v4: the Inception idea carried through, without shortcuts."""

from typing import Any

import keras

from tl.zoo.classic import parts
from tl.zoo.classic.style import PAPER_STYLES, Style, check_style

Step = tuple[int, int | tuple[int, int]]
"""One convolution of a branch: filters, kernel."""

_BLOCKS_A, _BLOCKS_B, _BLOCKS_C = 4, 7, 3


def inception_v4(
    pixels: Any, *, classes: int | None = None, style: Style = PAPER_STYLES["inception_v4"]
) -> Any:
    """Build Inception-v4.

    On 299x299 pictures the maps are 149x149x32, 147x147x64, 73x73x160, 71x71x192, 35x35x384 (four
    blocks A), 17x17x1024 (seven B) and 8x8x1536 (three C).

    Other than in the paper: nothing in the network, where its figures and its authors' code agree;
    the stride of the stem's last convolution is left out of figure 3, and is the code's here.

    Args:
        pixels: (batch, height, width, channels), 75x75 or more.
        classes: None for the features.
        style: activation and so on.

    Returns:
        The last maps averaged over their positions, (batch, 1536); or logits (batch, classes).

    Source: Szegedy et al. 2017, "Inception-v4, Inception-ResNet and the impact of residual
    connections on learning", figures 3 to 9, table 1.
    """
    check_style("inception_v4", style)
    x = _stem(pixels, style)
    for number in range(1, _BLOCKS_A + 1):
        x = _block_a(x, style, f"a{number}")
    x = _reduction_a(x, style, "reduction_a")
    for number in range(1, _BLOCKS_B + 1):
        x = _block_b(x, style, f"b{number}")
    x = _reduction_b(x, style, "reduction_b")
    for number in range(1, _BLOCKS_C + 1):
        x = _block_c(x, style, f"c{number}")
    x = parts.average(x)
    return x if classes is None else parts.logits(x, style, classes)


def _stem(pixels: Any, style: Style) -> Any:
    x = parts.conv(pixels, style, "stem_conv1", 32, 3, strides=2, padding="valid")
    x = parts.conv(x, style, "stem_conv2", 32, 3, padding="valid")
    x = parts.conv(x, style, "stem_conv3", 64, 3)
    pooled = parts.max_pool(x, "stem_pool1", 3, 2)
    x = _join("stem_1", pooled, _halved(x, style, "stem_conv4", 96))
    short = _branch(x, style, "stem_short", (64, 1))
    long = _branch(x, style, "stem_long", (64, 1), (64, (7, 1)), (64, (1, 7)))
    short = parts.conv(short, style, "stem_short_last", 96, 3, padding="valid")
    long = parts.conv(long, style, "stem_long_last", 96, 3, padding="valid")
    x = _join("stem_2", short, long)
    pooled = parts.max_pool(x, "stem_pool2", 3, 2)
    return _join("stem_3", _halved(x, style, "stem_conv5", 192), pooled)


def _block_a(x: Any, style: Style, name: str) -> Any:
    return _join(
        name,
        _averaged(x, style, name, 96),
        _branch(x, style, f"{name}_1x1", (96, 1)),
        _branch(x, style, f"{name}_3x3", (64, 1), (96, 3)),
        _branch(x, style, f"{name}_double", (64, 1), (96, 3), (96, 3)),
    )


def _reduction_a(x: Any, style: Style, name: str) -> Any:
    long = _branch(x, style, f"{name}_long", (192, 1), (224, 3))
    return _join(
        name,
        parts.max_pool(x, f"{name}_pool", 3, 2),
        _halved(x, style, f"{name}_3x3", 384),
        _halved(long, style, f"{name}_long_last", 256),
    )


def _block_b(x: Any, style: Style, name: str) -> Any:
    row, column = (1, 7), (7, 1)
    return _join(
        name,
        _averaged(x, style, name, 128),
        _branch(x, style, f"{name}_1x1", (384, 1)),
        _branch(x, style, f"{name}_7x7", (192, 1), (224, row), (256, column)),
        _branch(x, style, f"{name}_double", (192, 1), (192, row), (224, column), (224, row),
                (256, column)),
    )  # fmt: skip


def _reduction_b(x: Any, style: Style, name: str) -> Any:
    short = _branch(x, style, f"{name}_short", (192, 1))
    long = _branch(x, style, f"{name}_long", (256, 1), (256, (1, 7)), (320, (7, 1)))
    return _join(
        name,
        parts.max_pool(x, f"{name}_pool", 3, 2),
        _halved(short, style, f"{name}_short_last", 192),
        _halved(long, style, f"{name}_long_last", 320),
    )


def _block_c(x: Any, style: Style, name: str) -> Any:
    row, column = (1, 3), (3, 1)
    short = _branch(x, style, f"{name}_short", (384, 1))
    long = _branch(x, style, f"{name}_long", (384, 1), (448, row), (512, column))
    return _join(
        name,
        _averaged(x, style, name, 256),
        _branch(x, style, f"{name}_1x1", (256, 1)),
        _branch(short, style, f"{name}_short_row", (256, row)),
        _branch(short, style, f"{name}_short_column", (256, column)),
        _branch(long, style, f"{name}_long_column", (256, column)),
        _branch(long, style, f"{name}_long_row", (256, row)),
    )


def _branch(x: Any, style: Style, name: str, *steps: Step) -> Any:
    for number, (filters, kernel) in enumerate(steps, start=1):
        x = parts.conv(x, style, f"{name}_{number}", filters, kernel)
    return x


def _averaged(x: Any, style: Style, name: str, filters: int) -> Any:
    x = keras.layers.AveragePooling2D(3, 1, "same", name=f"{name}_pool")(x)
    return parts.conv(x, style, f"{name}_pool_project", filters, 1)


def _halved(x: Any, style: Style, name: str, filters: int) -> Any:
    return parts.conv(x, style, name, filters, 3, strides=2, padding="valid")


def _join(name: str, *branches: Any) -> Any:
    return keras.layers.Concatenate(name=f"{name}_output")(list(branches))
