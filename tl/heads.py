"""What is put on top of a backbone: features in, logits or values out."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.problem import Problem, Unit

NORM = "head_norm"
UNIT = "head_unit"


def linear_head(
    features: keras.KerasTensor,
    n_outputs: int,
    dropout: float,
    problem: Problem = "single_label",
) -> keras.KerasTensor:
    """Attach a standardisation and one linear layer.

    The standardisation has the mean and variance of the training pictures' features
    (`standardise`) and stays as it is: one learning rate then suits every backbone.

    The kernel begins at zero, so that every class begins equally likely and the first loss is
    log(n_classes) whatever the scale of the features (BiT, Kolesnikov et al. 2020).

    For regression the linear layer gives standardised values, and a fixed layer after it turns
    them to the user's unit (`set_unit`): a step of an optimizer then means the same in years and in
    seconds.

    Args:
        features: (batch, n_features), float32.
        n_outputs: width of the output.
        dropout: share of features dropped while training.
        problem: what the outputs are.

    Returns:
        Logits, or values, (batch, n_outputs), float32 also under mixed precision.
    """
    x = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-5, trainable=False, dtype="float32", name=NORM
    )(features)
    x = keras.layers.Dropout(dropout, dtype="float32", name="head_dropout")(x)
    x = keras.layers.Dense(n_outputs, kernel_initializer="zeros", dtype="float32", name="logits")(x)
    if problem != "regression":
        return x
    return keras.layers.Dense(
        1, kernel_initializer="ones", trainable=False, dtype="float32", name=UNIT
    )(x)


def set_unit(head: keras.Model, values: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Give a head of values the unit of the training values; a head of classes has none.

    Args:
        head: of `linear_head`.
        values: (n_pictures, 1).
        weights: (n_pictures,), of each.
    """
    if _has_unit(head):
        exact = values[:, 0].astype(np.float64)
        mean = np.average(exact, weights=weights)
        deviation = np.sqrt(np.average(np.square(exact - mean), weights=weights))
        # Where all that have weight are alike, any will do.
        head.get_layer(UNIT).set_weights([np.array([[deviation or 1.0]]), np.array([mean])])


def deviation_of(model: keras.Model) -> Any:
    """Return the variable that holds the deviation of a model's values, (1, 1); 1 for classes.

    A variable, for whoever asks before the weights of a checkpoint are loaded.
    """
    return model.get_layer(UNIT).kernel if _has_unit(model) else 1.0


def _has_unit(model: keras.Model) -> bool:
    return any(layer.name == UNIT for layer in model.layers)


def unit_of(model: keras.Model) -> Unit:
    """Return the unit of a model's values; of one without a layer for it, the plain one."""
    if not _has_unit(model):
        return Unit()
    kernel, bias = model.get_layer(UNIT).get_weights()
    return Unit(float(bias[0]), float(kernel[0, 0]))


def standardised(head: keras.Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features (n_pictures, n_features) as the linear layer of a head receives them."""
    norm = head.get_layer(NORM)
    mean = np.asarray(norm.moving_mean)
    deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return np.asarray((features - mean) / deviation, np.float32)


def standardise(head: keras.Model, features: NDArray[np.float32]) -> None:
    """Give a head the mean and variance of the training features, (n_pictures, n_features).

    A feature that hardly varies in training keeps a floor of 1 % of the mean variance, so that
    a picture that does excite it cannot drown all others.
    """
    variance = features.var(axis=0)
    norm = head.get_layer(NORM)
    norm.moving_mean.assign(features.mean(axis=0))
    norm.moving_variance.assign(np.maximum(variance, 0.01 * variance.mean() + 1e-12))
