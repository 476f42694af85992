"""L2 pooling: the length of what a window holds, where max pooling keeps its largest value."""

from typing import Any

import keras

# The square root has no slope at 0, where a whole window is silent: keep away from it.
_EPSILON = 1e-12


@keras.saving.register_keras_serializable(package="tl")
class L2Pooling2D(keras.layers.Layer):  # type: ignore[misc]
    """Return the square root of the sum of squares of every window, channel by channel.

    Input (batch, height, width, channels), output (batch, (height - pool_size) // strides + 1,
    likewise, channels). No padding; put `ZeroPadding2D` before it where zeros are wanted.

    Args:
        pool_size: side of the window in positions.
        strides: positions from one window to the next; None for ``pool_size``.

    Source: Boureau, Ponce and LeCun 2010, "A theoretical analysis of feature pooling in visual
    recognition"; Sermanet, Chintala and LeCun 2012, "Convolutional neural networks applied to house
    numbers digit classification", section 2.2, with P = 2 and equal weights.
    """

    def __init__(self, pool_size: int = 2, strides: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = pool_size if strides is None else strides

    def call(self, inputs: Any) -> Any:
        """Return the lengths."""
        ops = keras.ops
        # In float32: a square leaves float16's range at 256.
        exact = inputs if inputs.dtype == "float64" else ops.cast(inputs, "float32")
        mean = ops.average_pool(ops.square(exact), self.pool_size, self.strides, "valid")
        return ops.cast(ops.sqrt(mean + _EPSILON) * self.pool_size, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        batch, *sides, channels = input_shape
        pooled = (s and (s - self.pool_size) // self.strides + 1 for s in sides)
        return (batch, *pooled, channels)

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
        }
