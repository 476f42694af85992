"""Notice by measuring that mirroring changes what a picture is: a mirrored 2 is no 2.

Receives features of a frozen backbone, of plain and of mirrored pictures. A linear probe learns
from plain ones only; where it takes mirrored pictures for other classes notably more often than
the same pictures plain, flips teach a network wrong labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Predictions = NDArray[np.int64]

PROBE_PICTURES = 2000  # solving for more takes longer than it tells
RIDGE = 0.1  # of the mean squared length of a feature vector
NOTABLE_SHARE = 0.05
DEVIATIONS = 3


@dataclass(frozen=True, slots=True)
class FlipHarm:
    """What mirroring does to the answers of a probe.

    Attributes:
        n_pictures: how many were compared.
        right: how many are right plain.
        lost: of these, how many are taken for another class mirrored.
        gained: how many are right mirrored only.
        pair: label and the class that most of its lost pictures are taken for.
        pair_count: how many those are.
    """

    n_pictures: int
    right: int
    lost: int
    gained: int
    pair: tuple[int, int]
    pair_count: int


def probe_predictions(
    features: Features, labels: NDArray[Any], plain: Features, mirrored: Features
) -> tuple[Predictions, Predictions]:
    """Train a linear probe on plain features and return its answers for two sets of others.

    Ridge regression to one-hot labels in closed form, on standardised features.

    Args:
        features: (n_training, n_features), plain pictures only.
        labels: (n_training,), class indices.
        plain: (n, n_features).
        mirrored: (n, n_features), the same pictures mirrored.
    """
    some = np.arange(0, len(features), max(1, -(-len(features) // PROBE_PICTURES)))
    known, truth = features[some].astype(np.float64), labels[some]
    mean, deviation = known.mean(axis=0), known.std(axis=0) + 1e-6
    known = (known - mean) / deviation
    classes, columns = np.unique(truth, return_inverse=True)
    targets = np.eye(len(classes))[columns] - np.bincount(columns) / len(truth)
    strength = RIDGE * max(1e-12, float((known**2).sum()) / len(known))
    # (X^T X + s I)^-1 X^T = X^T (X X^T + s I)^-1: solve in the smaller of the two.
    if known.shape[0] < known.shape[1]:
        inner = known @ known.T + strength * np.eye(len(known))
        weights = known.T @ np.linalg.solve(inner, targets)
    else:
        inner = known.T @ known + strength * np.eye(known.shape[1])
        weights = np.linalg.solve(inner, known.T @ targets)

    # The mean of each class is taken out, so that a rare class answers as readily as its share.
    share = np.bincount(columns) / len(truth)

    def answers(queries: Features) -> Predictions:
        scores = ((queries - mean) / deviation) @ weights + share
        return np.asarray(classes[scores.argmax(axis=1)], np.int64)

    return answers(plain), answers(mirrored)


def flip_harm(
    plain: Predictions, mirrored: Predictions, *, labels: NDArray[Any]
) -> FlipHarm | None:
    """Compare the answers for the same pictures plain and mirrored.

    Args:
        plain: (n,), classes that plain pictures are taken for.
        mirrored: (n,), classes that the same pictures mirrored are taken for.
        labels: (n,), what they are.

    Returns:
        None unless mirroring costs at least 5 % of the pictures, and more than chance would: the
        lost less the gained ones exceed three standard deviations of a fair coin thrown for each
        (McNemar 1947).
    """
    before, after = plain == labels, mirrored == labels
    lost, gained = before & ~after, ~before & after
    cost = int(lost.sum()) - int(gained.sum())
    chance = DEVIATIONS * np.sqrt(int(lost.sum()) + int(gained.sum()))
    if cost < max(NOTABLE_SHARE * len(labels), chance) or cost == 0:
        return None
    pairs, counts = np.unique(np.stack([labels[lost], mirrored[lost]]), axis=1, return_counts=True)
    most = int(counts.argmax())
    return FlipHarm(
        n_pictures=len(labels),
        right=int(before.sum()),
        lost=int(lost.sum()),
        gained=int(gained.sum()),
        pair=(int(pairs[0, most]), int(pairs[1, most])),
        pair_count=int(counts[most]),
    )
