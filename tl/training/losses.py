"""Loss and accuracy of classification on logits, for whole and for mixed labels.

A label is a class index, (batch,), or, from mixup and CutMix, a row of shares,
(batch, n_classes).
"""

from typing import Any

import keras


class SmoothedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Softmax cross-entropy against logits (batch, n_classes), with label smoothing.

    Keras smooths one-hot labels only; batches carry integers where nothing is mixed.

    Args:
        label_smoothing: share of each label's mass spread over all classes, 0 to below 1.

    Source: Szegedy et al. 2016, section 7.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "loss", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every example, (batch,)."""
        shares = keras.ops.cast(y_true, "float32")
        if not _are_shares(y_true, y_pred):
            labels = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
            shares = keras.ops.one_hot(labels, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(
            shares,
            keras.ops.cast(y_pred, "float32"),
            from_logits=True,
            label_smoothing=self.label_smoothing,
        )


def accuracy_metric() -> keras.metrics.Metric:
    """Return the share of examples whose best logit is their label, or their largest share."""
    return keras.metrics.MeanMetricWrapper(_hits, name="accuracy")


def _hits(y_true: Any, y_pred: Any) -> Any:
    if _are_shares(y_true, y_pred):
        y_true = keras.ops.argmax(y_true, axis=-1)
    labels = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
    best = keras.ops.cast(keras.ops.argmax(y_pred, axis=-1), "int32")
    return keras.ops.cast(keras.ops.equal(labels, best), "float32")


def _are_shares(y_true: Any, y_pred: Any) -> bool:
    # Shapes are known while the graph is built. One column is a column of indices.
    return len(y_true.shape) == 2 and y_true.shape[-1] == y_pred.shape[-1] != 1
