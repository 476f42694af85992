"""Scale pixels as a backbone was trained to see them, inside the model.

Receives raw RGB in [0, 255], gives what keras.applications' preprocess_input would give. Layers
always compute in float32: in float16, pixels minus a mean lose their last digits.
"""

from typing import Any

import keras

from tl.zoo.backbones import Preprocessing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet in RGB / 255, as torchvision and Keras use it."""
IMAGENET_STDDEV = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet in RGB / 255."""
# The mean in BGR, not divided, with which the Caffe models were trained.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def scale_pixels(images: Any, kind: Preprocessing) -> Any:
    """Append the scaling layers to an input.

    Args:
        images: Keras tensor (batch, height, width, 3), RGB in [0, 255].
        kind: see ``Preprocessing``.

    Returns:
        Keras tensor of the same shape; ``images`` itself where the network scales inside.

    Source: keras/src/applications/imagenet_utils.py, ``preprocess_input``.
    """
    rescaling = keras.layers.Rescaling
    if kind == "tf":
        return rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="scale_pixels")(images)
    if kind == "tf_128":
        return rescaling(1 / 128.0, offset=-1.0, dtype="float32", name="scale_pixels")(images)
    if kind == "torch":
        scale = [1 / (255 * stddev) for stddev in IMAGENET_STDDEV]
        offset = [-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STDDEV, strict=True)]
        return rescaling(scale, offset=offset, dtype="float32", name="scale_pixels")(images)
    if kind == "caffe":
        bgr = keras.ops.flip(images, axis=-1)
        offset = [-mean for mean in _CAFFE_MEAN_BGR]
        return rescaling(1.0, offset=offset, dtype="float32", name="scale_pixels")(bgr)
    return images
