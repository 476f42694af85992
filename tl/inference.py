"""Run a Keras model that is not trained any more, as fast as its backend can."""

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def inference_function(model: keras.Model) -> Callable[[Any], Floats]:
    """Return a function from images, uint8 (batch, height, width, 3), to the output, float32.

    The weights are those of now: later changes of the model are not seen. On TensorFlow they become
    constants of a graph, so that scales of BatchNorm are multiplied into kernels once and not for
    every picture.
    """
    if keras.backend.backend() != "tensorflow":
        return lambda images: np.asarray(model.predict_on_batch(images), np.float32)
    tf = importlib.import_module("tensorflow")
    constants = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    spec = tf.TensorSpec([None, *model.input.shape[1:]], tf.uint8)
    traced = tf.function(
        lambda images: tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)
    ).get_concrete_function(spec)
    frozen = constants.convert_variables_to_constants_v2(traced)

    def run(images: Any) -> Floats:
        (output,) = frozen(tf.constant(images))
        return np.asarray(output)

    return run
