"""Max pooling that says where its maxima were, and the way back.

A deconvolutional network shows what a unit looks at by running a network backwards; pooling loses
the places, so they are recorded as switches on the way up and used on the way down.
"""

from typing import Any

import keras

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="tl")
class MaxPoolWithSwitches(keras.layers.Layer):  # type: ignore[misc]
    """Max pooling with a second output: which position of each window won.

    Input (batch, height, width, channels). Outputs, both (batch, (height - pool_size) // strides +
    1, likewise, channels): the maxima, and as int32 the switches, 0 to pool_size² - 1, counted
    within the window row by row; the first of equal values wins.

    Args:
        pool_size: side of the window in positions.
        strides: positions from one window to the next; None for ``pool_size``.

    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks",
    section 2.1.
    """

    def __init__(self, pool_size: int = 2, strides: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = pool_size if strides is None else strides

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """Return the maxima and the switches."""
        _, height, width, _ = self.compute_output_shape(inputs.shape)[0]
        assert height is not None
        assert width is not None
        last_row, last_column = (height - 1) * self.strides, (width - 1) * self.strides
        places = [
            inputs[:, i : i + last_row + 1 : self.strides, j : j + last_column + 1 : self.strides]
            for i in range(self.pool_size)
            for j in range(self.pool_size)
        ]
        windows = keras.ops.stack(places, axis=-1)
        switches = keras.ops.cast(keras.ops.argmax(windows, axis=-1), "int32")
        # The slope goes to the winner alone, as the switches say, also among equal values.
        won = keras.ops.one_hot(switches, self.pool_size**2, dtype=inputs.dtype)
        return keras.ops.sum(keras.ops.where(won > 0, windows, 0), axis=-1), switches

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of both outputs, which are the same."""
        batch, height, width, channels = input_shape
        if height is None or width is None:
            raise ValueError("the height and width of the maps must be known, not None")
        pooled = (
            batch,
            (height - self.pool_size) // self.strides + 1,
            (width - self.pool_size) // self.strides + 1,
            channels,
        )
        return pooled, pooled

    def compute_output_spec(self, inputs: Any) -> tuple[Any, Any]:
        """Return shape and dtype of both outputs."""
        pooled, switches = self.compute_output_shape(inputs.shape)
        return (
            keras.KerasTensor(pooled, self.compute_dtype),
            keras.KerasTensor(switches, "int32"),
        )

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}


@keras.saving.register_keras_serializable(package="tl")
class UnpoolBySwitches(keras.layers.Layer):  # type: ignore[misc]
    """Put pooled values back to where their switches say, zeros elsewhere.

    Inputs: values (batch, rows, columns, channels) and the switches of `MaxPoolWithSwitches`.
    Output (batch, height, width, channels) of the given size. Where windows overlap and two of
    them chose the same position, their values are added.

    Args:
        size: (height, width) of the maps that were pooled.
        pool_size: as in pooling.
        strides: as in pooling.
    """

    def __init__(
        self,
        size: tuple[int, int],
        pool_size: int = 2,
        strides: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = tuple(size)
        self.pool_size = pool_size
        self.strides = pool_size if strides is None else strides

    def call(self, values: Any, switches: Any) -> Any:
        """Return the unpooled maps."""
        ops = keras.ops
        _, rows, columns, channels = values.shape
        height, width = self.size
        stride, side = self.strides, self.pool_size
        spread = (height + side + stride, width + side + stride)
        total: Any = 0
        for place in range(side**2):
            chosen = ops.where(switches == place, values, 0)
            # A value, then stride - 1 zeros, along both axes: windows begin so far apart.
            apart = ops.reshape(chosen, (-1, rows, 1, columns, 1, channels))
            gap = (0, stride - 1)
            apart = ops.pad(apart, ((0, 0), (0, 0), gap, (0, 0), gap, (0, 0)))
            apart = ops.reshape(apart, (-1, rows * stride, columns * stride, channels))
            i, j = divmod(place, side)
            below, right = spread[0] - rows * stride - i, spread[1] - columns * stride - j
            total = total + ops.pad(apart, ((0, 0), (i, below), (j, right), (0, 0)))
        return total[:, :height, :width]

    def compute_output_shape(self, values_shape: Shape, switches_shape: Shape) -> Shape:
        """Return the shape of the output."""
        return (values_shape[0], *self.size, values_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {
            **super().get_config(),
            "size": self.size,
            "pool_size": self.pool_size,
            "strides": self.strides,
        }
