"""Loss and figure that Keras trains and shows a model with, for every problem.

A single label is a class index, (batch,), or, from mixup and CutMix, a row of shares,
(batch, n_classes). The losses are those of `tl.training.objectives`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tl.problem import Problem


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


class SmoothedBinaryCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Mean over the classes of sigmoid cross-entropies against logits (batch, n_classes).

    Args:
        label_smoothing: how far labels are drawn from 0 and 1 towards 0.5, 0 to below 1.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "loss", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every example, (batch,)."""
        hits = keras.ops.cast(y_true, "float32") * (1 - self.label_smoothing)
        of_class = keras.ops.binary_crossentropy(
            hits + self.label_smoothing / 2, keras.ops.cast(y_pred, "float32"), from_logits=True
        )
        return keras.ops.mean(of_class, axis=-1)


class StandardisedSquaredError(keras.losses.Loss):  # type: ignore[misc]
    """Squared error of values (batch, 1) in units of the training values' deviation.

    Args:
        deviation: of the training values, so that the loss begins near 1 in any unit; a number, or
            a variable (1, 1) that is read at every update.
    """

    def __init__(self, deviation: Any = 1.0, name: str = "loss", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.deviation = deviation

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every example, (batch,)."""
        error = keras.ops.cast(y_pred, "float32") - keras.ops.cast(y_true, "float32")
        return keras.ops.sum(keras.ops.square(error / self.deviation), axis=-1)


class MicroF1(keras.metrics.Metric):  # type: ignore[misc]
    """F1 of all classes' answers together, at a probability of 0.5: a logit of 0.

    While fine-tuning, the figure of an epoch is the mean over its batches.
    """

    def __init__(self, name: str = "micro_f1", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.both = self.add_weight(name="both", initializer="zeros")
        self.either = self.add_weight(name="either", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of labels and logits, (batch, n_classes), weights (batch,)."""
        true = keras.ops.cast(keras.ops.greater(y_true, 0.5), "float32")
        guessed = keras.ops.cast(keras.ops.greater(y_pred, 0), "float32")
        weights = 1.0
        if sample_weight is not None:
            weights = keras.ops.reshape(keras.ops.cast(sample_weight, "float32"), (-1, 1))
        self.both.assign_add(keras.ops.sum(weights * true * guessed))
        self.either.assign_add(keras.ops.sum(weights * (true + guessed)))

    def result(self) -> Any:
        """Return 2 TP / (2 TP + FP + FN), 0 where nothing was true or guessed."""
        return 2 * self.both / keras.ops.maximum(self.either, 1e-12)


def loss_and_metric(
    problem: Problem, deviation: Any, label_smoothing: float
) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    """Return what a model of a problem is compiled with.

    Args:
        problem: what is learned.
        deviation: of the values, as in `StandardisedSquaredError`; classes have none.
        label_smoothing: as in the losses; values have none.
    """
    return _COMPILED[problem](deviation, label_smoothing)


_COMPILED: Mapping[
    Problem, Callable[[Any, float], tuple[keras.losses.Loss, keras.metrics.Metric]]
] = {
    "single_label": lambda _, smoothing: (SmoothedCrossEntropy(smoothing), accuracy_metric()),
    "multi_label": lambda _, smoothing: (SmoothedBinaryCrossEntropy(smoothing), MicroF1()),
    "regression": lambda deviation, _: (
        StandardisedSquaredError(deviation),
        keras.metrics.MeanAbsoluteError(name="mae"),
    ),
}


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
