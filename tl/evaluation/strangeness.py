"""How unlike the training pictures a picture is, from the features that the backbone gives it.

Pure numpy. A classifier shares its probabilities among the classes that it knows, whatever it is
shown; the distance of a picture's features from those of all classes tells what belongs to none.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
MOST_DIRECTIONS = 64
COMMON = 0.95
"""Share of known pictures whose strangeness is at most 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Strangeness:
    """A Gaussian a class with one covariance, in features of length 1.

    The covariance is that of probabilistic PCA: a few directions with a variance of their own, and
    one variance for all others. 64 directions of 1,280 features are 330 KB of model, the whole
    matrix would be 6.5 MB and could not be known from a thousand pictures.

    Attributes:
        means: float32 (n_classes, n_features).
        directions: float32 (n_directions, n_features), each of length 1.
        shares: float32 (n_directions,), 1/noise - 1/variance of each.
        noise: variance of all other directions.
        unit: the squared distance that is called 1.

    Sources: Lee et al. 2018 (Mahalanobis distance to the nearest class); Tipping & Bishop 1999
    (probabilistic PCA); Mueller & Hein 2025 (features of length 1).
    """

    means: Floats
    directions: Floats
    shares: Floats
    noise: float
    unit: float

    def scores(self, features: Floats) -> Floats:
        """Return the strangeness of pictures, (n,): 0 or more, and up to 1 for most known ones.

        Args:
            features: (n, n_features).
        """
        return _distances(_of_length_one(features), self) / self.unit


def fit_strangeness(features: Floats, labels: NDArray[Any] | None, known: Floats) -> Strangeness:
    """Learn what known pictures look like.

    Args:
        features: (n, n_features), of training pictures.
        labels: (n,) class indices, or None for one group of all.
        known: (m, n_features), of other pictures of the same kind: the unit comes from them, as
            training pictures lie closer to their own means.
    """
    features = _of_length_one(features)
    labels = np.zeros(len(features), int) if labels is None else np.asarray(labels)
    present = np.unique(labels)
    means = np.stack([features[labels == label].mean(axis=0) for label in present])
    spread = features - means[np.searchsorted(present, labels)]
    n, width = spread.shape
    freedom = max(1, n - len(present))
    count = max(1, min(MOST_DIRECTIONS, width - 1, freedom // 4))
    _, lengths, directions = np.linalg.svd(spread, full_matrices=False)
    variances = np.square(lengths[:count]) / freedom
    rest = max(np.square(spread).sum() / freedom - variances.sum(), 0.0)
    noise = max(rest / max(1, width - count), 1e-9)
    shares = 1 / noise - 1 / np.maximum(variances, noise)
    fitted = Strangeness(
        means.astype(np.float32),
        directions[:count].astype(np.float32),
        shares.astype(np.float32),
        float(noise),
        1.0,
    )
    distances = _distances(_of_length_one(known), fitted) if len(known) else np.ones(1)
    unit = max(float(np.quantile(distances, COMMON)), 1e-9)
    return Strangeness(fitted.means, fitted.directions, fitted.shares, fitted.noise, unit)


def separation(inside: Floats, outside: Floats) -> float:
    """Return the chance that a picture from outside has the higher score (AUROC, 0.5 is chance).

    Args:
        inside: (n,), scores of known pictures.
        outside: (m,), of others.

    Source: Mann & Whitney 1947; equal scores count half.
    """
    from scipy.stats import rankdata  # takes 0.5 s to import

    ranks = rankdata(np.concatenate([inside, outside]))[len(inside) :]
    above = ranks.sum() - len(outside) * (len(outside) + 1) / 2
    return float(above / (len(inside) * len(outside)))


def _distances(features: Floats, fitted: Strangeness) -> Floats:
    """Return squared Mahalanobis distances to the nearest mean, by Woodbury's identity."""
    best = np.full(len(features), np.inf)
    for mean in fitted.means:
        away = features - mean
        along = away @ fitted.directions.T
        distance = np.square(away).sum(axis=1) / fitted.noise - np.square(along) @ fitted.shares
        best = np.minimum(best, distance)
    return np.asarray(np.maximum(best, 0.0))


def _of_length_one(features: Floats) -> Floats:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float64)
