"""Rare classes made to count as much as common ones: by weights, or by showing them more often."""

from dataclasses import replace
from typing import Literal

import numpy as np

from tl.data.example import Dataset

Balance = Literal["none", "weights", "sampling"]


def balance_classes(training: Dataset, how: Balance) -> Dataset:
    """Give every class of the training pictures the same share of the loss.

    Args:
        training: the pictures of the training side.
        how: ``weights`` multiplies each picture's weight by n / (classes * n of its class), as
            scikit-learn's "balanced" (King and Zeng 2001); ``sampling`` repeats the pictures of
            every class until it has as many as the largest, so that an epoch is longer and each
            repetition is augmented for itself; ``none`` changes nothing.
    """
    if how == "none" or not len(training):
        return training
    classes, places, counts = np.unique(training.labels, return_inverse=True, return_counts=True)
    if how == "weights":
        factors = len(training) / (len(classes) * counts)
        weights = np.ones(len(training), np.float32) if training.weights is None else (
            training.weights)  # fmt: skip
        return replace(training, weights=(weights * factors[places]).astype(np.float32))
    chosen = [
        np.resize(np.flatnonzero(places == number), counts.max()) for number in range(len(classes))
    ]
    return training.take(np.concatenate(chosen))
