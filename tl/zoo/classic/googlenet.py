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

AUXILIARY_WEIGHT = 0.3
"""Of the loss of each auxiliary classifier while training; section 5 of the paper."""
SMALLEST_WITH_AUXILIARY = 65
"""Side in pixels from which the maps of 4a and 4d are the 5x5 that are pooled."""


class AuxiliaryModel(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Model of a dict of logits that learns from all of them and is judged by ``logits``.

    Compile it with the one loss and the metrics of a model of logits, and give it plain labels.
    The loss of each other output counts ``AUXILIARY_WEIGHT`` in training and not at all beside it.
    """

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of ``logits``, and in training a share of those of the others."""
        loss = super().compute_loss(x, y, y_pred["logits"], sample_weight, training)
        others = [one for name, one in y_pred.items() if name != "logits"] if training else []
        for logits in others:
            loss += AUXILIARY_WEIGHT * super().compute_loss(x, y, logits, sample_weight, training)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the metrics of ``logits``."""
        return super().compute_metrics(x, y, y_pred["logits"], sample_weight)


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
    check_style("googlenet", style)
    x = parts.conv(pixels, style, "conv1", 64, 7, strides=2, padding=3)
    x = parts.max_pool(x, "pool1", 3, 2, "same")
    x = parts.local_response(x, style, "norm1")
    x = parts.conv(x, style, "conv2_reduce", 64, 1)
    x = parts.conv(x, style, "conv2", 192, 3)
    x = parts.local_response(x, style, "norm2")
    x = parts.max_pool(x, "pool2", 3, 2, "same")
    for name, filters in _INCEPTIONS.items():
        x = _inception(x, style, f"inception_{name}", filters)
        if name in ("3b", "4e"):
            x = parts.max_pool(x, f"pool{name[0]}", 3, 2, "same")
    features = parts.average(x)
    return features if classes is None else parts.logits(features, style, classes)


def with_auxiliary(
    model: keras.Model, classes: int, style: Style = PAPER_STYLES["googlenet"]
) -> AuxiliaryModel:
    """Put both auxiliary classifiers on a GoogLeNet, to train it.

    What is trained are the model's own layers: use it afterwards as it was, without them. They sit
    on 4a and 4d: average pooling of 5x5 every 3, 128 1x1 convolutions, 1024 units, dropout of
    70 %, the classes.

    Args:
        model: from pictures of a fixed size of 65x65 or more to logits, (batch, classes).
        classes: width of each output.
        style: activation and so on; without dropout there is none in the auxiliary ones, either.

    Returns:
        Model of a dict of logits, each (batch, classes): ``logits``, ``auxiliary_1`` and
        ``auxiliary_2``.

    Source: Szegedy et al. 2015, section 5.
    """
    outputs = {"logits": model.output}
    for name, block in (("auxiliary_1", "4a"), ("auxiliary_2", "4d")):
        maps = model.get_layer(f"inception_{block}_output").output
        outputs[name] = _auxiliary(maps, style, name, classes)
    return AuxiliaryModel(model.input, outputs, name="googlenet_in_training")


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
