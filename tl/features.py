"""What the frozen backbone says of every picture, computed once and kept.

Heads learn from these numbers in seconds; running the backbone again in every epoch would give the
same ones. They come from every stage, since the averages over a stage's positions cost next to
nothing where the backbone runs anyway, and they are kept by the content of the pictures.
"""

import hashlib
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.classifier import stage_features
from tl.data.batches import PLAIN_FEED, Feed, view_batches
from tl.data.example import Example, stack_targets
from tl.data.resize import centre_view
from tl.feature_store import FeatureStore, prune
from tl.inference import inference_function
from tl.zoo.stages import stage_outputs

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
BATCH = 64


@dataclass(frozen=True, slots=True)
class View:
    """One way of looking at a picture.

    Attributes:
        facts: all that decides what is seen, for the name of the store.
        look: gives a view (height, width, 3) of a picture, its identity and the view's number.
    """

    facts: Mapping[str, Any]
    look: Callable[[Image, str, int], Image] = field(repr=False)


def plain_view(size: tuple[int, int]) -> View:
    """Return the one view that evaluation and serving use."""
    return View({"view": "plain"}, lambda image, identity, number: centre_view(image, size))


def mirrored_view(size: tuple[int, int]) -> View:
    """Return the plain view with left and right exchanged."""

    def look(image: Image, identity: str, number: int) -> Image:
        return np.ascontiguousarray(centre_view(image, size)[:, ::-1])

    return View({"view": "mirrored"}, look)


def augmented_view(
    augment: Callable[[Image, int], Image], facts: Mapping[str, Any], seed: int
) -> View:
    """Return random views that a picture's content, the number of the view and a seed decide.

    Args:
        augment: gives a view of a picture and a seed.
        facts: all that decides what it does.
        seed: of the run.
    """

    def look(image: Image, identity: str, number: int) -> Image:
        text = f"{seed} {number} {identity}".encode()
        return augment(image, int.from_bytes(hashlib.sha256(text).digest()[:16], "big"))

    return View({"view": "augmented", "seed": seed, **facts}, look)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Features of pictures, a row each, with what is to be learnt of them.

    Attributes:
        features: float32 (rows, sum of the widths of ``stages``), side by side.
        targets: int32 (rows,) or float32 (rows, width), as batches have them.
        weights: float32 (rows,), in the loss; 0 where the picture could not be read.
        widths: of all stages of the backbone, pixels' side first.
        stages: which of them are here, in ascending order.
        stored: rows that an earlier run had computed.
    """

    features: Floats
    targets: NDArray[Any]
    weights: Floats
    widths: tuple[int, ...]
    stages: tuple[int, ...]
    stored: int = 0

    def __len__(self) -> int:
        return len(self.weights)

    def of_stages(self, numbers: Sequence[int]) -> Floats:
        """Return the features of some stages, side by side; -1 is the backbone's last."""
        wanted = tuple(number % len(self.widths) for number in numbers)
        if wanted == self.stages:
            return self.features  # without a copy, as of one stage
        columns = stage_columns(self.widths, self.stages)
        parts = [self.features[:, columns[one]] for one in wanted]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def take(self, rows: Any) -> "FeatureTable":
        """Return some rows."""
        return FeatureTable(
            self.features[rows], self.targets[rows], self.weights[rows], self.widths, self.stages
        )


def stage_columns(widths: Sequence[int], stages: Sequence[int]) -> dict[int, slice]:
    """Return where each stage's features are, when those of some stages lie side by side."""
    ends = np.cumsum([widths[stage] for stage in stages]).tolist()
    return {stage: slice(end - widths[stage], end) for stage, end in zip(stages, ends, strict=True)}


def joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Return the rows of several tables, one after the other."""
    return FeatureTable(
        np.concatenate([one.features for one in tables]),
        np.concatenate([one.targets for one in tables]),
        np.concatenate([one.weights for one in tables]),
        tables[0].widths,
        tables[0].stages,
        sum(one.stored for one in tables),
    )


def stored_rows(
    identities: Sequence[str] | None,
    view: View,
    facts: Mapping[str, Any],
    folder: Path | None,
    width: int,
    count: int,
) -> NDArray[np.bool_]:
    """Return which pictures a `FeatureExtractor` would find in its store, without building one.

    Args:
        identities: content hashes; None where pictures have none, so that nothing is stored.
        view: how they are looked at, with its number 0.
        facts: what the backbone is.
        folder: of the store, or None.
        width: of all stages together.
        count: of the pictures.
    """
    if identities is None:
        return np.zeros(count, bool)
    store = FeatureStore(folder, {**facts, **view.facts}, width)
    return store.known([_row_name(one, 0) for one in identities])


def _row_name(identity: str, number: int) -> str:
    return f"{identity} {number}"


def _averages(backbone: keras.Model) -> tuple[Any, ...]:
    """Return `stage_features` by the operation that is quickest here.

    On a CPU TensorFlow's mean over positions is its own, and its average pooling that of oneDNN:
    all stages then cost 0 to 4 % of the backbone, and 3 to 9 % by means (measured).
    """
    plain = stage_features(backbone)
    maps = stage_outputs(backbone)[:-1]
    if (
        keras.backend.backend() != "tensorflow"
        or keras.config.image_data_format() != "channels_last"
    ):
        return plain
    tf = importlib.import_module("tensorflow")
    if tf.config.get_visible_devices("GPU") or any(None in one.shape[1:] for one in maps):
        return plain
    pools = [keras.layers.AveragePooling2D(one.shape[1:3], dtype="float32")(one) for one in maps]
    return (*(keras.layers.Flatten(dtype="float32")(one) for one in pools), plain[-1])


class FeatureExtractor:
    """The stages of a backbone as features, from a store where it has them.

    Args:
        backbone: of `tl.zoo.build`; its weights are those of now.
        facts: what the backbone is: name, weights, size, precision.
        folder: for the store, or None to keep nothing.
        precision: of stored numbers; those of now are rounded alike, so that the next run, which
            reads them, sees the same.
    """

    def __init__(
        self,
        backbone: keras.Model,
        facts: Mapping[str, Any] | None = None,
        folder: Path | None = None,
        precision: str = "float32",
    ) -> None:
        outputs = _averages(backbone)
        self.widths = tuple(int(one.shape[-1]) for one in outputs)
        together = keras.layers.Concatenate(dtype="float32")(list(outputs))
        self._run = inference_function(keras.Model(backbone.input, together))
        self._facts, self._folder, self._precision = dict(facts or {}), folder, precision
        if folder is not None:
            prune(folder)

    def extract(
        self,
        examples: Sequence[Example],
        view: View,
        *,
        numbers: Sequence[int] | None = None,
        identities: Sequence[str] | None = None,
        stages: Sequence[int] | None = None,
        feed: Feed = PLAIN_FEED,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> FeatureTable:
        """Return features of pictures; all stages are stored, whichever are returned.

        Args:
            examples: the pictures, a row each; one may come again.
            view: how they are looked at.
            numbers: of the view, for each picture; None is 0 for all.
            identities: content hashes; None keeps nothing, as a name is no content.
            stages: whose features are returned; None is all.
            feed: how pictures are read.
            on_batch: told how many rows are done with every batch.
        """
        numbers = [0] * len(examples) if numbers is None else numbers
        names = [one.key for one in examples] if identities is None else list(identities)
        rows = [_row_name(*one) for one in zip(names, numbers, strict=True)]
        folder = None if identities is None else self._folder
        store = FeatureStore(
            folder, {**self._facts, **view.facts}, sum(self.widths), self._precision
        )
        all_stages = tuple(range(len(self.widths)))
        kept = all_stages if stages is None else tuple(sorted(stages))
        of_stage = stage_columns(self.widths, all_stages)
        columns = np.r_[*(of_stage[stage] for stage in kept)]
        features, found = store.read(rows, columns)
        weights = np.array([one.weight for one in examples], np.float32)
        stored = int(found.sum())
        if stored:
            on_batch(stored)
        missing = np.flatnonzero(~found)
        first = 0
        for computed, of_batch in self._compute(examples, missing, names, numbers, view, feed):
            places = missing[first : first + len(computed)]
            first += len(computed)
            features[places] = store.rounded(computed)[:, columns]
            readable = of_batch > 0
            weights[places[~readable]] = 0
            # A picture that took an unreadable one's place is not kept under its name.
            store.append([rows[place] for place in places[readable]], computed[readable])
            on_batch(len(places))
        targets = stack_targets([one.target for one in examples])
        return FeatureTable(features, targets, weights, self.widths, kept, stored)

    def seconds_per_picture(self, size: tuple[int, int]) -> float:
        """Measure the time that the backbone takes for a picture of (height, width)."""
        images = np.zeros((BATCH, *size, 3), np.uint8)
        self._run(images)  # the first call prepares
        began = time.perf_counter()
        self._run(images)
        return (time.perf_counter() - began) / BATCH

    def _compute(
        self,
        examples: Sequence[Example],
        places: NDArray[np.int64],
        names: Sequence[str],
        numbers: Sequence[int],
        view: View,
        feed: Feed,
    ) -> Iterator[tuple[Floats, Floats]]:
        """Give features and weights of the pictures at some places, batch by batch."""
        if not len(places):
            return

        def look(image: Image, row: int) -> Image:
            place = int(places[row])
            return view.look(image, names[place], numbers[place])

        some = [examples[int(place)] for place in places]
        for images, _, weights in view_batches(some, look, batch_size=BATCH, feed=feed):
            yield self._run(images), weights
