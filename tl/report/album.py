"""The pictures of the report: those worth a look, and no more than there is room for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tl.evaluation.predictions import Predictions

ROOM = 3_000_000
"""Characters of all pictures: about 700 photographs, and the page stays well below 5 MB."""
LISTED = 24


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture on the page.

    Attributes:
        key: what messages call it.
        said: words below it.
        source: address of the thumbnail; None where it cannot be read, or room is short.
    """

    key: str
    said: tuple[str, ...] = ()
    source: str | None = None


class Album:
    """Gives thumbnails while there is room; whoever asks first is served first."""

    def __init__(self, show: Callable[[str], str | None], room: int = ROOM) -> None:
        self._show, self._room = show, room
        self._made: dict[str, str | None] = {}

    def picture(self, key: str, said: tuple[str, ...] = ()) -> Shown:
        """Return a picture, with its thumbnail if there is room for it."""
        if key not in self._made:
            if self._room <= 0:
                return Shown(key, said)
            self._made[key] = self._show(key)
        source = self._made[key]
        if source is None or len(source) > self._room:
            return Shown(key, said)
        self._room -= len(source)
        return Shown(key, said, source)

    def pictures(self, keys: Iterable[str]) -> list[Shown]:
        """Return those that can be shown."""
        found = (self.picture(key) for key in keys)
        return [one for one in found if one.source]


def worst_pictures(predictions: Predictions, album: Album) -> dict[str, list[Shown]]:
    """Return the pictures that tell most about where the model fails, by what they are."""
    if predictions.problem == "regression":
        return _largest_errors(predictions, album)
    if predictions.problem == "multi_label":
        return _least_believed_labels(predictions, album)
    names, confidence = predictions.class_names, predictions.confidence
    believed = predictions.answers[np.arange(len(predictions)), predictions.truth]
    wrong = np.flatnonzero(~predictions.right)
    confident = wrong[np.argsort(-confidence[wrong], kind="stable")][:LISTED].tolist()
    listed = set(confident)
    order = np.argsort(believed, kind="stable")[: 2 * LISTED].tolist()
    hardest = [place for place in order if place not in listed][:LISTED]

    def shown(place: int) -> Shown:
        predicted, true = predictions.predicted[place], predictions.truth[place]
        said = [f"{names[true]} {believed[place]:.2f}"]
        if predicted != true:
            said = [f"{names[predicted]} {confidence[place]:.2f}", f"labelled {said[0]}"]
        return album.picture(predictions.keys[place], tuple(said))

    return {
        "Most confident mistakes": [shown(place) for place in confident],
        "Hardest of the others": [shown(place) for place in hardest],
    }


def _largest_errors(predictions: Predictions, album: Album) -> dict[str, list[Shown]]:
    said, true = predictions.answers[:, 0], predictions.truth[:, 0]
    order = np.argsort(-np.abs(said - true), kind="stable")[:LISTED]
    return {
        "Largest errors": [
            album.picture(
                predictions.keys[place], (f"said {said[place]:.4g}", f"is {true[place]:.4g}")
            )
            for place in order.tolist()
        ]
    }


def _least_believed_labels(predictions: Predictions, album: Album) -> dict[str, list[Shown]]:
    names, answers, truth = predictions.class_names, predictions.answers, predictions.truth > 0.5
    believed = np.where(truth, answers, 1 - answers)
    order = np.argsort(believed.min(axis=1), kind="stable")[:LISTED]

    def shown(place: int) -> Shown:
        label: Any = believed[place].argmin()
        has = "labelled with it" if truth[place, label] else "not labelled with it"
        words = (f"{names[label]} {answers[place, label]:.2f}", has)
        return album.picture(predictions.keys[place], words)

    return {"Pictures with the least believed label": [shown(place) for place in order.tolist()]}
