"""What is put on top of a backbone: features in, logits out."""

import keras
import numpy as np
from numpy.typing import NDArray

NORM = "head_norm"


def linear_head(features: keras.KerasTensor, n_classes: int, dropout: float) -> keras.KerasTensor:
    """Attach a standardisation and one linear layer.

    The standardisation has the mean and variance of the training pictures' features
    (`standardise`) and stays as it is: one learning rate then suits every backbone.

    The kernel begins at zero, so that every class begins equally likely and the first loss is
    log(n_classes) whatever the scale of the features (BiT, Kolesnikov et al. 2020).

    Args:
        features: (batch, n_features), float32.
        n_classes: width of the output.
        dropout: share of features dropped while training.

    Returns:
        Logits, (batch, n_classes), float32 also under mixed precision.
    """
    x = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-5, trainable=False, dtype="float32", name=NORM
    )(features)
    x = keras.layers.Dropout(dropout, dtype="float32", name="head_dropout")(x)
    return keras.layers.Dense(
        n_classes, kernel_initializer="zeros", dtype="float32", name="logits"
    )(x)


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
