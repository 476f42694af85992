"""Maxout: the largest of several linear maps in place of a fixed nonlinearity."""

from typing import Any

import keras

from tl.errors import ConfigError


@keras.saving.register_keras_serializable(package="tl")
class Maxout(keras.layers.Layer):  # type: ignore[misc]
    """Keep the largest of every `pieces` neighbouring channels.

    Put it after a convolution or dense layer of ``pieces`` times as many channels as wanted. With
    two pieces a unit can be a ReLU, the absolute value, or any other convex function of two parts.

    Input (..., channels), output (..., channels / pieces), of the same dtype.

    Args:
        pieces: linear maps that a unit chooses from, 2 or more.

    Raises:
        ConfigError: fewer than 2 pieces, or channels that they do not divide.

    Source: Goodfellow et al. 2013, "Maxout networks", section 2.
    """

    def __init__(self, pieces: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pieces < 2:
            raise ConfigError(f"maxout of {pieces} pieces chooses nothing; give 2 or more")
        self.pieces = pieces

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output, (..., channels / pieces)."""
        channels = input_shape[-1]
        if channels is None or channels % self.pieces:
            raise ConfigError(
                f"maxout of {self.pieces} pieces cannot divide {channels} channels; give the layer "
                f"before it a multiple of {self.pieces}"
            )
        return (*input_shape[:-1], channels // self.pieces)

    def call(self, inputs: Any) -> Any:
        """Return the maxima, (..., channels / pieces)."""
        *_, units = self.compute_output_shape(inputs.shape)
        shape = (*keras.ops.shape(inputs)[:-1], units, self.pieces)
        return keras.ops.max(keras.ops.reshape(inputs, shape), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {**super().get_config(), "pieces": self.pieces}
