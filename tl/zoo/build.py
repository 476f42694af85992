"""Build a backbone: raw pixels in, features out, one flat Keras model.

Receives a row of the table and, if wanted, weights. Flat, so that explanations, stages and
fine-tuning reach every layer by name, and raw pixels, so that training and serving cannot scale
them differently.
"""

import keras

from tl.zoo.backbones import Backbone
from tl.zoo.load import load_backbone_weights
from tl.zoo.preprocessing import IMAGENET_MEAN, IMAGENET_STDDEV, scale_pixels
from tl.zoo.weights import Weights


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
    application = getattr(keras.applications, backbone.keras_class)(
        include_top=False,
        weights=None,
        input_tensor=scale_pixels(images, backbone.preprocessing),
        # Pooling by the application: ConvNeXt normalises after it.
        pooling="avg",
        **backbone.arguments,
    )
    if backbone.preprocessing == "inside":
        _set_inner_scaling(application)
    # float32 also under mixed precision: features are cached, probed and averaged.
    features = keras.layers.Activation("linear", dtype="float32", name="features")
    pooled = application.output
    if backbone.feature_layers:
        pooled = _mean_and_deviation(application, backbone.feature_layers)
    model = keras.Model(images, features(pooled), name=backbone.name)
    if weights is not None and weights.path is not None:
        load_backbone_weights(model, weights.path)
    return model


def _mean_and_deviation(application: keras.Model, layers: tuple[str, ...]) -> keras.KerasTensor:
    """Pool several layers by mean and standard deviation over their positions."""
    ops = keras.ops
    maps = [ops.cast(application.get_layer(name).output, "float32") for name in layers]
    means = [ops.mean(one, axis=(1, 2)) for one in maps]
    # The square root has no slope at 0, where a channel is silent: keep away from it.
    deviations = [ops.sqrt(ops.var(one, axis=(1, 2)) + 1e-5) for one in maps]
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
