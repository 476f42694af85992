"""Fit what a model says beside its answers, on pictures, before it is exported.

Temperature and threshold come from validation pictures, strangeness from training pictures, and
whether strangeness is shipped from pictures of no class: those that the config names, handwritten
digits, and validation pictures whose tiles have been shuffled, which keep colours and texture and
lose the object.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.config import DataConfig
from tl.data.batches import decoded_pictures, numbered_pictures
from tl.data.example import Dataset, stack_targets
from tl.data.formats.builtin import read_digits
from tl.data.inspect import cache_folder
from tl.data.prepare import PreparedData, read_pictures
from tl.data.resize import centre_view
from tl.data.strata import strata_of, stratified_order
from tl.evaluation.caution import Caution, Seen, fit_caution
from tl.inference import inference_function
from tl.run_folder import RunRecord

Image = NDArray[np.uint8]
MOST_TRAINING = 1000
MOST_VALIDATION = 2000
MOST_OUTSIDE = 200
"""Pictures that the network runs on: a fit needs no more."""
BATCH = 32
TILES = 4


def settle_caution(look: "Onlooker", record: RunRecord, data: PreparedData) -> Caution:
    """Fit temperature, threshold and strangeness of a trained network.

    Args:
        look: at the network.
        record: of the run.
        data: its pictures.
    """
    validation = sample(data.side("val"), MOST_VALIDATION)
    training = sample(data.side("train"), MOST_TRAINING)
    if record.problem == "regression" or not len(validation) or not len(training):
        return Caution()
    return fit_caution(
        record.problem,
        look.at_examples(training),
        look.at_examples(validation),
        {name: look.at(views) for name, views in outside_views(record, validation).items()},
        record.config.evaluation.error_rate,
    )


class Onlooker:
    """Runs a Keras model on tl's own view of pictures.

    Args:
        model: RGB of 0 to 255 -> logits and features.
        size: (height, width).
    """

    def __init__(self, model: keras.Model, size: tuple[int, int]) -> None:
        logits, features = model.outputs
        flat = keras.layers.Concatenate(dtype="float32")([logits, features])
        self._run = inference_function(keras.Model(model.input, flat))
        self._width, self._all, self._size = int(logits.shape[-1]), int(flat.shape[-1]), size

    def at(self, views: Iterable[Image]) -> Seen:
        """Return what the model says of views (height, width, 3)."""
        parts = [self._run(batch) for batch in _batches(views)]
        both = np.concatenate([np.empty((0, self._all), np.float32), *parts])
        return Seen(both[:, : self._width], both[:, self._width :])

    def at_examples(self, examples: Dataset) -> Seen:
        """Return what the model says of pictures; those that cannot be read are left out."""
        readable: list[int] = []
        views = self._views(examples, readable.append)
        seen = self.at(views)
        if not readable:
            return seen
        truth = stack_targets([examples[place].target for place in readable])
        return Seen(seen.logits, seen.features, truth)

    def _views(self, examples: Dataset, on_readable: Callable[[int], None]) -> Iterator[Image]:
        for place, image in numbered_pictures(examples):
            on_readable(place)
            yield centre_view(image, self._size)


def outside_views(record: RunRecord, validation: Dataset) -> Mapping[str, Sequence[Image]]:
    """Return views of pictures that belong to no class, by where they come from."""
    return views_outside(
        record.config.evaluation.outside,
        record.image_size,
        validation,
        is_digits=record.config.dataset == "digits",
    )


def views_outside(
    named: Sequence[str], size: tuple[int, int], known: Dataset, *, is_digits: bool
) -> dict[str, list[Image]]:
    """Do so without a run.

    Args:
        named: datasets to take; none takes digits and shuffled tiles.
        size: (height, width) of the views.
        known: pictures of the model's kind, whose tiles are shuffled.
        is_digits: whether digits are what the model knows.
    """
    if named:
        return {Path(spec).name or spec: _views_of(_open(spec), size) for spec in named}
    found = (
        {"photographs": _photographs(size)}
        if is_digits
        else {"handwritten digits": _views_of(read_digits(), size)}
    )
    own = _views_of(known, size)
    found["shuffled tiles"] = [shuffled_tiles(view, seed) for seed, view in enumerate(own)]
    return found


def shuffled_tiles(view: Image, seed: int) -> Image:
    """Return a picture cut into 4 x 4 tiles in another order."""
    height, width = (side // TILES for side in view.shape[:2])
    places = [(row * height, column * width) for row in range(TILES) for column in range(TILES)]
    result = view.copy()
    for (top, left), place in zip(
        places, np.random.default_rng(seed).permutation(len(places)), strict=True
    ):
        from_top, from_left = places[place]
        tile = view[from_top : from_top + height, from_left : from_left + width]
        result[top : top + height, left : left + width] = tile
    return result


def sample(examples: Dataset, most: int) -> Dataset:
    """Return at most so many pictures, with each kind's share of them."""
    if len(examples) <= most:
        return examples
    return examples.take(np.sort(stratified_order(strata_of(examples), seed=0)[:most]))


def _views_of(examples: Dataset, size: tuple[int, int]) -> list[Image]:
    return [centre_view(image, size) for image in decoded_pictures(sample(examples, MOST_OUTSIDE))]


def _open(spec: str) -> Dataset:
    return read_pictures(spec, DataConfig(), cache=cache_folder()).examples


def _photographs(size: tuple[int, int]) -> list[Image]:
    """Return pieces of the two photographs that scikit-learn carries."""
    from sklearn.datasets import load_sample_images  # takes 1 s to import

    pieces = []
    for photograph in load_sample_images().images:
        for top in range(0, photograph.shape[0] - 96, 48):
            for left in range(0, photograph.shape[1] - 96, 48):
                pieces.append(centre_view(photograph[top : top + 96, left : left + 96], size))
    return pieces[:MOST_OUTSIDE]


def _batches(views: Iterable[Image]) -> Iterator[Any]:
    batch: list[Image] = []
    for view in views:
        batch.append(view)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
