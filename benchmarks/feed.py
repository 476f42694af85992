"""Feed training batches in several ways, side by side: pictures a second, and against the limit.

    python benchmarks/feed.py ../shared/data/flower_photos [--size 224] [--seconds 6] [--rounds 3]

The limit is the number of cores times what one thread does of the same decoding and the same
recipe. Every way gives batches of 32 uint8 views; the ways take turns, and the median of the rounds
counts, because machines are noisy.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.data.batches import Feed, decoded_pictures, training_batches
from tl.data.decode import NO_LIMIT, decode_picture
from tl.data.example import Dataset
from tl.data.sources import open_dataset

BATCH = 32
CORES = len(os.sched_getaffinity(0))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    dataset = open_dataset(options.dataset)
    pca = fit_colour_pca(decoded_pictures(dataset[:50]))
    augment = Augmentation(options.recipe, (options.size, options.size), pca)
    ways: dict[str, Callable[[], Iterator[Any]]] = {
        "one thread, a plain loop": lambda: plain_loop(dataset, augment),
        "tl": lambda: iter(training_batches(dataset, augment, batch_size=BATCH, seed=0)),
        "tl, 2 processes": lambda: iter(
            training_batches(dataset, augment, batch_size=BATCH, seed=0, feed=Feed(processes=2))
        ),
        "tf.data + tf.image": lambda: tf_image(dataset, options.size),
        "tf.data + numpy_function": lambda: tf_numpy(dataset, augment),
        "Keras PyDataset, threads": lambda: py_dataset(dataset, augment, processes=False),
        "Keras PyDataset, processes": lambda: py_dataset(dataset, augment, processes=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, make in ways.items():
            rates[name].append(rate(make(), options.seconds))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    limit = CORES * medians["one thread, a plain loop"]
    print(f"{CORES} cores, {len(dataset)} pictures, recipe {options.recipe} at {options.size} px\n")
    print("| way | pictures/s | of the limit | each round |\n|---|---|---|---|")
    print(f"| limit: {CORES} x one thread | {limit:.0f} | 1.00 | |")
    for name, median in medians.items():
        each = ", ".join(f"{found:.0f}" for found in rates[name])
        print(f"| {name} | {median:.0f} | {median / limit:.2f} | {each} |")


def rate(batches: Iterator[Any], seconds: float) -> float:
    """Return pictures a second after the first batches, which start threads and processes."""
    for _ in range(4):
        next(batches)
    began = time.perf_counter()
    pictures = 0
    while time.perf_counter() - began < seconds:
        batch = next(batches)
        images = batch[0] if isinstance(batch, tuple) else batch
        assert tuple(images.shape[0:1]) == (BATCH,)
        pictures += BATCH
    found = pictures / (time.perf_counter() - began)
    close = getattr(batches, "close", None)
    if close is not None:
        close()
    return found


def plain_loop(dataset: Dataset, augment: Augmentation) -> Iterator[Any]:
    """Decode and augment in this thread, with OpenCV's own threads off: the limit of one core."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        order = cycle(np.random.default_rng(0).permutation(len(dataset)).tolist())
        step = 0
        while True:
            views = []
            for place in (next(order) for _ in range(BATCH)):
                image = decode_picture(dataset[place].read(), NO_LIMIT)
                views.append(augment(image, step))
                step += 1
            yield np.stack(views), np.zeros(BATCH, np.int32)
    finally:
        cv2.setNumThreads(threads)


def tf_image(dataset: Dataset, size: int) -> Iterator[Any]:
    """Do the like of the default recipe with TensorFlow's own operations (without PCA)."""
    import tensorflow as tf

    def view(path: Any) -> Any:
        data = tf.io.read_file(path)
        window, _, _ = _boxes(tf, tf.io.extract_jpeg_shape(data))
        image = tf.io.decode_and_crop_jpeg(data, window, channels=3)
        image = tf.image.resize(image, (size, size))
        image = tf.image.random_flip_left_right(image)
        image = tf.image.random_brightness(image, 51.0)
        image = tf.image.random_contrast(image, 0.8, 1.2)
        image = tf.image.random_saturation(image, 0.8, 1.2)
        image = tf.image.random_hue(image, 0.02)
        return tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.uint8)

    paths = [str(one.path) for one in dataset]
    batches = (
        tf.data.Dataset.from_tensor_slices(paths)
        .shuffle(len(paths))
        .repeat()
        .map(view, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    return iter(batches)


def _boxes(tf: Any, shape: Any) -> tuple[Any, Any, Any]:
    begin, length, box = tf.image.sample_distorted_bounding_box(
        shape, tf.zeros([1, 0, 4]), area_range=(0.25, 1.0), use_image_if_no_bounding_boxes=True
    )
    return tf.stack([begin[0], begin[1], length[0], length[1]]), length, box


def tf_numpy(dataset: Dataset, augment: Augmentation) -> Iterator[Any]:
    """Do the same work as tl in a numpy_function."""
    import tensorflow as tf

    def view(place: Any) -> Any:
        return augment(decode_picture(dataset[int(place)].read(), NO_LIMIT), int(place))

    batches = (
        tf.data.Dataset.range(len(dataset))
        .shuffle(len(dataset))
        .repeat()
        .map(
            lambda place: tf.numpy_function(view, [place], tf.uint8),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    return iter(batches)


def py_dataset(dataset: Dataset, augment: Augmentation, *, processes: bool) -> Iterator[Any]:
    """Do the same work as tl in Keras' PyDataset, driven as `fit` drives it."""
    from feed_keras import Views  # beside this file
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    views = Views(dataset, augment, BATCH, workers=2 * CORES, use_multiprocessing=processes)
    adapter = PyDatasetAdapter(views, shuffle=True)
    try:
        while True:
            adapter.on_epoch_begin()
            for images, *_ in adapter.get_numpy_iterator():
                yield images, None
            adapter.on_epoch_end()
    finally:
        adapter.on_epoch_end()  # ends its workers, which would hold up the next way


if __name__ == "__main__":
    main()
