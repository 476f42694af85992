"""What the frozen backbone says of every picture, computed once.

A head learns from these arrays in seconds; running the backbone again in every epoch would give
the same numbers.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]


def extract_features(
    backbone: keras.Model,
    batches: Any,
    *,
    n_pictures: int,
    on_batch: Callable[[int], None] = lambda images: None,
) -> tuple[Features, NDArray[np.int32], NDArray[np.float32]]:
    """Run a backbone over pictures in inference mode.

    Args:
        backbone: (batch, height, width, 3) -> (batch, n_features).
        batches: of (images, labels, weights); no more than needed is taken from them.
        n_pictures: how many pictures to take.
        on_batch: told the number of pictures of every finished batch.

    Returns:
        Features (n_pictures, n_features), labels and weights (n_pictures,).
    """
    features: list[Features] = []
    labels: list[NDArray[np.int32]] = []
    weights: list[NDArray[np.float32]] = []
    taken = 0
    for images, batch_labels, batch_weights in batches:
        features.append(np.asarray(backbone.predict_on_batch(images), np.float32))
        labels.append(np.asarray(batch_labels))
        weights.append(np.asarray(batch_weights))
        taken += len(batch_labels)
        on_batch(len(batch_labels))
        if taken >= n_pictures:
            break
    return (
        np.concatenate(features)[:n_pictures],
        np.concatenate(labels)[:n_pictures],
        np.concatenate(weights)[:n_pictures],
    )
