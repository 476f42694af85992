"""Batches of pictures, the same ones in the same order whatever the number of threads.

Receives the examples of one side and an augmentation (a callable of picture and seed), gives
grain datasets of (images uint8, targets, weights float32): class indices as int32 (batch,), several
classes or a value as float32 (batch, width). Batch n is a function of the seed
and n alone; grain calls it ahead of time, in threads or processes. The batch is the record because
grain's own work a record, with Python's lock held, would cost a tenth of the speed (measured).
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grain
import numpy as np
from absl import flags
from grain.experimental import index_shuffle
from numpy.typing import NDArray

from tl.data.decode import NO_LIMIT, decode_picture
from tl.data.decoded_cache import DecodedCache
from tl.data.example import Example, Target, stack_targets
from tl.data.resize import centre_view
from tl.errors import DatasetError
from tl.map_ahead import map_ahead

Augment = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
Record = tuple[NDArray[np.uint8], Target, float]
Batch = tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.float32]]

# OpenCV frees Python's lock, so one thread a core keeps it busy and one more bridges the waits for
# files. Twice as many wait for each other: a tenth of the speed is lost (measured).
READ_THREADS = (os.cpu_count() or 1) + 1
# Of batches, not of pictures, and enough for every thread to have one: grain's default of 500 would
# be 2.4 GB of views of 224 pixels, and an abandoned iterator would go on until it has them.
READ_AHEAD = READ_THREADS + 4
_log = logging.getLogger(__name__)
# Keys that the log has named, for the life of the process: every phase opens its pictures anew.
_REPORTED: dict[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """How training pictures are read; no setting changes which ones come in which order.

    Attributes:
        at_least: sides in pixels that the augmentation needs; much larger JPEGs are decoded
            smaller. None decodes all whole.
        cache: keeps decoded pictures from one epoch to the next, or None.
        processes: workers beside this process, each with threads of its own; 0 for none, which is
            enough for a few cores.
        shard: (number, count) of this host among several; each sees its own part of every epoch.
    """

    at_least: int | None = None
    cache: DecodedCache | None = None
    processes: int = 0
    shard: tuple[int, int] = (0, 1)


PLAIN_FEED = Feed()


class PictureSource:
    """Decoded pictures by index.

    A picture that cannot be read in the middle of an epoch (it could before training) is replaced
    by the next one with weight 0, and logged once a process. Sizes were judged before, when the
    dataset was inspected under the user's own limit.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        max_pixels: int = NO_LIMIT,
        *,
        at_least: int | None = None,
        cache: DecodedCache | None = None,
    ) -> None:
        if not examples:
            raise DatasetError("no picture to make batches of")
        self._examples = examples
        self._max_pixels = max_pixels
        self._at_least, self._cache = at_least, cache

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Record:
        for step in range(len(self._examples)):
            example = self._examples[(index + step) % len(self._examples)]
            try:
                image = self._image(example)
            except DatasetError as error:
                mine = object()  # setdefault is one step, so one thread only finds its own
                if _REPORTED.setdefault(example.key, mine) is mine:
                    _log.warning("%s is left out of training: %s", example.key, error)
                continue
            return image, example.target, example.weight if step == 0 else 0.0
        raise DatasetError("none of the training pictures can be read any more")

    def _image(self, example: Example) -> NDArray[np.uint8]:
        if self._cache is None:
            return decode_picture(example.read(), self._max_pixels, self._at_least)
        image = self._cache.get(example.key)
        if image is None:
            image = decode_picture(example.read(), self._max_pixels, self._at_least)
            self._cache.put(example.key, image)
        return image


def training_batches(
    examples: Sequence[Example],
    augment: Augment,
    *,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    feed: Feed = PLAIN_FEED,
) -> Any:
    """Return an endless grain dataset of shuffled, augmented batches.

    Args:
        examples: the training pictures.
        augment: gives every picture its view, all of one size.
        batch_size: pictures a batch; the last of an epoch is filled from the next one.
        seed: of order and augmentation.
        first_step: where to go on; batch n is the same one however it is reached.
        feed: how they are read.

    Returns:
        A grain.IterDataset of (uint8 (batch, height, width, 3), int32 (batch,) or
        float32 (batch, width), float32 (batch,)).
    """
    batch_at = _TrainingBatch(
        PictureSource(examples, at_least=feed.at_least, cache=feed.cache),
        augment,
        batch_size,
        seed,
        feed.shard,
    )
    batches = _read_ahead(grain.MapDataset.range(first_step, sys.maxsize).map(batch_at))
    if feed.processes:
        if not flags.FLAGS.is_parsed():  # grain asks for flags, of which this program has none
            flags.FLAGS.mark_as_parsed()
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=feed.processes))
    return batches


class _TrainingBatch:
    """Batch number -> batch. A class and no closure, because worker processes get it pickled."""

    def __init__(
        self,
        pictures: "PictureSource",
        augment: Augment,
        batch_size: int,
        seed: int,
        shard: tuple[int, int],
    ) -> None:
        self._pictures, self._augment = pictures, augment
        self._batch_size, self._shard = batch_size, shard
        # Seeds that follow each other would share their epochs' orders, one epoch apart.
        self._order_seed, self._view_seed = np.random.SeedSequence(seed).generate_state(2).tolist()

    def __call__(self, step: int) -> Batch:
        first = step * self._batch_size
        number, count = self._shard
        return _stack(
            self._record(place * count + number) for place in range(first, first + self._batch_size)
        )

    def _record(self, position: int) -> Record:
        """Return what lies at a position of the endless sequence of shuffled epochs."""
        epoch, place = divmod(position, len(self._pictures))
        image, target, weight = self._pictures[
            index_shuffle(
                place,
                max_index=len(self._pictures) - 1,
                seed=(self._order_seed + epoch) % 2**32,
                rounds=4,
            )
        ]
        # Generators hash their seeds, so a number that is met once is enough.
        return self._augment(image, self._view_seed << 64 | position), target, weight


def _stack(records: Iterable[Record]) -> Batch:
    images, targets, weights = zip(*records, strict=True)
    return np.stack(images), stack_targets(targets), np.array(weights, np.float32)


def evaluation_batches(
    examples: Sequence[Example], size: tuple[int, int], *, batch_size: int
) -> Any:
    """Return a grain.IterDataset over the centre views: each iteration is one pass, in order.

    Shapes and types as in `training_batches`; the last batch may be smaller.
    """
    return view_batches(
        examples, lambda image, place: centre_view(image, size), batch_size=batch_size
    )


def view_batches(
    examples: Sequence[Example], view: Augment, *, batch_size: int, feed: Feed = PLAIN_FEED
) -> Any:
    """Return a grain.IterDataset over one view of each picture: an iteration is one pass, in order.

    Args:
        examples: the pictures.
        view: gives the view of a picture and its place.
        batch_size: pictures a batch; the last one may be smaller.
        feed: how they are read; in this process, whatever it says of others.
    """
    pictures = PictureSource(examples, at_least=feed.at_least, cache=feed.cache)

    def record(place: int) -> Record:
        image, target, weight = pictures[place]
        return view(image, place), target, weight

    def batch_at(step: int) -> Batch:
        first = step * batch_size
        return _stack(map(record, range(first, min(first + batch_size, len(pictures)))))

    return _read_ahead(grain.MapDataset.range(-(-len(pictures) // batch_size)).map(batch_at))


def _read_ahead(batches: grain.MapDataset[Batch]) -> Any:
    return batches.to_iter_dataset(
        grain.ReadOptions(num_threads=READ_THREADS, prefetch_buffer_size=READ_AHEAD)
    )


def decoded_pictures(examples: Sequence[Example]) -> Iterator[NDArray[np.uint8]]:
    """Decode pictures in order, some ahead on other threads; unreadable ones are left out."""
    return (image for _, image in numbered_pictures(examples))


def numbered_pictures(examples: Sequence[Example]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Do the same, and give each picture's place among the examples."""

    def decode(example: Example) -> NDArray[np.uint8] | None:
        try:
            return decode_picture(example.read(), NO_LIMIT)
        except DatasetError:
            return None

    images = map_ahead(decode, examples, threads=READ_THREADS, ahead=4 * READ_THREADS)
    return ((place, image) for place, image in enumerate(images) if image is not None)
