"""Build a backbone: raw pixels in, features out, one flat Keras model.

Receives a row of the table and, if wanted, weights. Flat, so that explanations, stages and
fine-tuning reach every layer by name, and raw pixels, so that training and serving cannot scale
them differently.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tl.zoo.backbones import Backbone
from tl.zoo.classic.alexnet import alexnet
from tl.zoo.classic.allconv import allconv
from tl.zoo.classic.googlenet import googlenet
from tl.zoo.classic.inception_v4 import inception_v4
from tl.zoo.classic.lenet5 import lenet5
from tl.zoo.classic.resnet import plain34, resnet18, resnet34, resnext50
from tl.zoo.classic.zfnet import zfnet
from tl.zoo.load import load_backbone_weights
from tl.zoo.preprocessing import IMAGENET_MEAN, IMAGENET_STDDEV, scale_pixels
from tl.zoo.provenance import refuse_other_form
from tl.zoo.weights import Weights

CLASSICS: Mapping[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (lenet5, alexnet, zfnet, googlenet, allconv, plain34, resnet18, resnet34, resnext50,
                inception_v4)
}  # fmt: skip
"""The functions of tl.zoo.classic by name: pixels in, features or, with ``classes``, logits out."""


def build_backbone(
    backbone: Backbone,
    image_size: tuple[int, int] | None = None,
    weights: Weights | None = None,
) -> keras.Model:
    """Build a backbone, with weights if given.

    Args:
        backbone: row of the table.
        image_size: (height, width) in pixels, the backbone's own when None.
        weights: what ``resolve_weights`` gave; None or kind "none" leaves random weights.

    Returns:
        Model from images (batch, height, width, 3), RGB in [0, 255], float32 or uint8, to
        features (batch, feature_size), always float32. The output layer is called "features".

    Raises:
        ConfigError: the size is below the backbone's minimum.
        WeightsError: the weights file does not fit.
    """
    height, width = image_size or backbone.image_size
    backbone.check_size((height, width))
    images = keras.Input((height, width, 3), name="image", dtype="float32")
    pixels = scale_pixels(images, backbone.preprocessing)
    pooled = _classic(backbone, pixels) if backbone.classic else _of_keras(backbone, pixels)
    # float32 also under mixed precision: features are cached, probed and averaged.
    features = keras.layers.Activation("linear", dtype="float32", name="features")
    # Without options: TensorFlow allows no ':' or '=' in the name of a scope.
    model = keras.Model(images, features(pooled), name=backbone.name.partition(":")[0])
    if weights is not None and weights.path is not None:
        if not weights.partial:
            refuse_other_form(backbone.name, weights.path)
        load_backbone_weights(model, weights.path, partial=weights.partial)
    return model


def _of_keras(backbone: Backbone, pixels: Any) -> Any:
    assert backbone.keras_class is not None
    application = getattr(keras.applications, backbone.keras_class)(
        include_top=False,
        weights=None,
        input_tensor=pixels,
        # Pooling by the application: ConvNeXt normalises after it.
        pooling="avg",
        **backbone.arguments,
    )
    if backbone.preprocessing == "inside":
        _set_inner_scaling(application)
    if backbone.feature_layers:
        return _mean_and_deviation(application, backbone.feature_layers)
    return application.output


def _classic(backbone: Backbone, pixels: Any) -> Any:
    return CLASSICS[str(backbone.classic)](pixels, style=backbone.style, **backbone.arguments)


def _mean_and_deviation(application: keras.Model, layers: tuple[str, ...]) -> keras.KerasTensor:
    """Pool several layers by mean and standard deviation over their positions."""
    ops = keras.ops
    maps = [ops.cast(application.get_layer(name).output, "float32") for name in layers]
    means = [ops.mean(one, axis=(1, 2)) for one in maps]
    # The root is steep where a channel is flat over the picture: there a decoder's rounding by one
    # level would move the score by a percent. 1e-3 is small beside activations of 0 to 6.
    deviations = [ops.sqrt(ops.var(one, axis=(1, 2)) + 1e-3) for one in maps]
    return ops.concatenate(means + deviations, axis=-1)


def _set_inner_scaling(application: keras.Model) -> None:
    """Give EfficientNet's own scaling layers the statistics it was trained with, in float32.

    Keras reads them from its file, where the variance is wrongly the standard deviation, and
    inserts one more layer to make up for it, but only if asked for weights="imagenet".

    Source: github.com/tensorflow/tensorflow/issues/49930.
    """
    for layer in application.layers:
        if isinstance(layer, keras.layers.Rescaling):
            layer.dtype_policy = "float32"
        elif isinstance(layer, keras.layers.Normalization):
            layer.dtype_policy = "float32"
            layer.adapt_mean.assign(IMAGENET_MEAN)
            layer.adapt_variance.assign([stddev**2 for stddev in IMAGENET_STDDEV])
            layer.finalize_state()
