"""Local response normalisation: strong responses quieten those of neighbouring channels."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tl")
class LocalResponseNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Divide by (k + alpha * sum of squares over n neighbouring channels) ** beta.

    The window is centred on the channel and ends where the channels end. Input and output (...,
    channels).

    Args:
        n: channels in the window, odd.
        k: added before the power.
        alpha: factor of the sum of squares. Caffe's layer takes n times as much, as it averages.
        beta: the power.

    Source: Krizhevsky et al. 2012, section 3.3, whose constants are the defaults.
    """

    def __init__(
        self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if n < 1 or n % 2 == 0:
            raise ValueError(f"the window must have an odd number of channels, not {n}")
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def call(self, inputs: Any) -> Any:
        """Return the normalised responses."""
        ops = keras.ops
        # In float32: a square leaves float16's range at 256.
        exact = inputs if inputs.dtype == "float64" else ops.cast(inputs, "float32")
        reach, channels = self.n // 2, inputs.shape[-1]
        around = [(0, 0)] * (len(inputs.shape) - 1) + [(reach, reach)]
        squares = ops.pad(ops.square(exact), around)
        total = sum(squares[..., first : first + channels] for first in range(self.n))
        return ops.cast(exact * ops.power(self.k + self.alpha * total, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output, that of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {
            **super().get_config(),
            "n": self.n,
            "k": self.k,
            "alpha": self.alpha,
            "beta": self.beta,
        }
