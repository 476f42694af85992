"""Which labels are probably wrong: pictures that a model which never saw them sees otherwise.

Pure numpy. Receives what out-of-fold probes say of every picture, gives suspects, the surest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture whose label is doubted.

    Attributes:
        place: among the pictures.
        given: index of the class it is labelled with.
        proposed: of the class that it seems to be.
        doubt: probability of the proposed class less that of the given one.
    """

    place: int
    given: int
    proposed: int
    doubt: float


def find_suspects(probabilities: NDArray[Any], labels: Sequence[int]) -> list[Suspect]:
    """Return the pictures whose label is doubted, the surest first.

    A picture is suspected of being of another class where that class's probability reaches the mean
    of the pictures labelled so, and its own class's does not: rare and hard classes, whose
    probabilities are low throughout, are then not suspected as a whole.

    Args:
        probabilities: (n, n_classes), of models that did not learn from the picture.
        labels: (n,) given class indices.

    Source: Northcutt et al. 2021, "Confident Learning", the confident joint, ranked by margin.
    """
    given = np.asarray(labels)
    n_classes = probabilities.shape[1]
    usual = np.array(
        [
            probabilities[given == label, label].mean() if (given == label).any() else np.inf
            for label in range(n_classes)
        ]
    )
    rows = np.arange(len(given))
    sure = np.where(probabilities >= usual, probabilities, -1.0)
    proposed = sure.argmax(axis=1)
    doubt = probabilities[rows, proposed] - probabilities[rows, given]
    is_suspect = (sure.max(axis=1) > 0) & (proposed != given) & (doubt > 0)
    places = np.flatnonzero(is_suspect)
    places = places[np.argsort(-doubt[places], kind="stable")]
    return [
        Suspect(int(place), int(given[place]), int(proposed[place]), float(doubt[place]))
        for place in places
    ]
