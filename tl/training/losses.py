"""The loss of single-label classification on logits."""

from typing import Any

import keras


class SmoothedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Softmax cross-entropy of integer labels against logits, with label smoothing.

    Keras smooths one-hot labels only; batches carry integers, (batch,), and logits are
    (batch, n_classes).

    Args:
        label_smoothing: share of each label's mass spread over all classes, 0 to below 1.

    Source: Szegedy et al. 2016, section 7.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "loss", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every example, (batch,)."""
        one_hot = keras.ops.one_hot(keras.ops.reshape(y_true, (-1,)), y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(
            one_hot,
            keras.ops.cast(y_pred, "float32"),
            from_logits=True,
            label_smoothing=self.label_smoothing,
        )
