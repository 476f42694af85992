"""Grouped convolution that is exported as plain convolutions."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tl")
class GroupedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """`keras.layers.Conv2D` with groups, computed group by group where TensorFlow runs it.

    On TensorFlow, Keras compiles every grouped convolution with XLA, because the fused kernels of
    its CPU cannot do it. A SavedModel would then compile anew for each batch size it is served.
    Weights, configuration and results are those of ``Conv2D``.

    Source: Krizhevsky et al. 2012, section 3.5 (two groups, one a GPU); Xie et al. 2017,
    "Aggregated residual transformations for deep neural networks", figure 3c.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution, (batch, height, width, filters), without bias."""
        if self.groups == 1 or keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        parts = zip(
            keras.ops.split(inputs, self.groups, axis=-1),
            keras.ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        convolve = super().convolution_op
        return keras.ops.concatenate([convolve(part, own) for part, own in parts], axis=-1)
