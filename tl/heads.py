"""What is put on top of a backbone: features in, logits or values out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.problem import Problem, Unit

Floats = NDArray[np.float32]
NORM = "head_norm"
EPSILON = 1e-5
BLOCK = 8192
HIDDEN = "head_hidden"
LOGITS = "logits"
UNIT = "head_unit"


def head_layers(
    features: keras.KerasTensor,
    n_outputs: int,
    dropout: float,
    problem: Problem = "single_label",
    hidden: int = 0,
) -> keras.KerasTensor:
    """Attach a standardisation and one linear layer, or a hidden one before it.

    The standardisation has the mean and variance of the training pictures' features
    (`set_moments`) and stays as it is: one learning rate then suits every backbone.

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
        hidden: units of a hidden layer of ReLUs; 0 for none.

    Returns:
        Logits, or values, (batch, n_outputs), float32 also under mixed precision.
    """
    x = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=EPSILON, trainable=False, dtype="float32", name=NORM
    )(features)
    x = keras.layers.Dropout(dropout, dtype="float32", name="head_dropout")(x)
    if hidden:
        x = keras.layers.Dense(hidden, "relu", dtype="float32", name=HIDDEN)(x)
    x = keras.layers.Dense(n_outputs, kernel_initializer="zeros", dtype="float32", name=LOGITS)(x)
    if problem != "regression":
        return x
    return keras.layers.Dense(
        1, kernel_initializer="ones", trainable=False, dtype="float32", name=UNIT
    )(x)


def value_unit(
    problem: Problem, targets: NDArray[np.float32], weights: NDArray[np.float32]
) -> Unit:
    """Return the unit of training values, weighted; classes have the plain one.

    Args:
        problem: what the targets are.
        targets: (n_pictures, 1) of values.
        weights: (n_pictures,), of each.
    """
    if problem != "regression":
        return Unit()
    exact = targets[:, 0].astype(np.float64)
    mean = np.average(exact, weights=weights)
    deviation = np.sqrt(np.average(np.square(exact - mean), weights=weights))
    # Where all that have weight are alike, any will do.
    return Unit(float(mean), float(deviation) or 1.0)


def set_unit(head: keras.Model, unit: Unit) -> None:
    """Give a head of values its unit; a head of classes has none."""
    if _has_unit(head):
        head.get_layer(UNIT).set_weights([np.array([[unit.deviation]]), np.array([unit.mean])])


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


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """How features are standardised before the linear layer.

    Attributes:
        mean: float32 (n_features,).
        variance: float32 (n_features,), above 0.
    """

    mean: Floats
    variance: Floats

    def standardised(self, features: Floats) -> Floats:
        """Return features (n_pictures, n_features) as the linear layer receives them."""
        return np.asarray((features - self.mean) / np.sqrt(self.variance + EPSILON), np.float32)


def blocks_of(parts: Sequence[Floats]) -> Iterator[Floats]:
    """Yield the rows of several arrays in order, some thousand at a time, without a copy."""
    for part in parts:
        for first in range(0, len(part), BLOCK):
            yield part[first : first + BLOCK]


def moments_of(parts: Sequence[Floats], widths: Sequence[int] | None = None) -> Moments:
    """Return mean and variance of training features.

    A feature that hardly varies in training keeps a floor of 1 % of the mean variance of its
    stage, so that a picture that does excite it cannot drown all others.

    Args:
        parts: of the training pictures, each (some pictures, n_features).
        widths: of the stages that they come from; None is one for all.
    """
    count, width = sum(map(len, parts)), parts[0].shape[1]
    # In float64: sums of a million float32 lose digits. In blocks: the features of many pictures
    # are in memory once, and should not be twice.
    mean, variance = np.zeros(width), np.zeros(width)
    for block in blocks_of(parts):
        mean += block.sum(axis=0, dtype=np.float64) / count
    for block in blocks_of(parts):
        variance += np.square(block - mean.astype(np.float32)).sum(axis=0, dtype=np.float64) / count
    ends = np.cumsum(widths or [width])
    for part in np.split(variance, ends[:-1]):
        part[:] = np.maximum(part, 0.01 * part.mean() + 1e-12)
    return Moments(mean.astype(np.float32), variance.astype(np.float32))


def set_layers(head: keras.Model, layers: Sequence[tuple[Floats, Floats]]) -> None:
    """Give a head the kernels and biases that were found, in order."""
    own = [layer for layer in head.layers if layer.name in (HIDDEN, LOGITS)]
    for layer, (kernel, bias) in zip(own, layers, strict=True):
        layer.set_weights([kernel, bias])


def set_moments(head: keras.Model, moments: Moments) -> None:
    """Let a head standardise so."""
    norm = head.get_layer(NORM)
    norm.moving_mean.assign(moments.mean)
    norm.moving_variance.assign(moments.variance)
