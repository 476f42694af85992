"""Features come in the order of the pictures, as many as asked for."""

import keras
import numpy as np

from tl.features import extract_features


def averages() -> keras.Model:
    image = keras.Input((2, 2, 3))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))


def batch(first: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    numbers = np.arange(first, first + count)
    images = np.broadcast_to(numbers[:, None, None, None], (count, 2, 2, 3)).astype(np.uint8)
    return images, numbers.astype(np.int32), np.ones(count, np.float32)


def test_one_row_for_every_picture_in_order() -> None:
    seen: list[int] = []

    features, labels, weights = extract_features(
        averages(), [batch(0, 4), batch(4, 3)], n_pictures=7, on_batch=seen.append
    )

    assert features.dtype == np.float32
    assert features.tolist() == [[n, n, n] for n in range(7)]
    assert labels.tolist() == list(range(7))
    assert weights.tolist() == [1] * 7
    assert seen == [4, 3]


def test_no_more_is_taken_from_an_endless_stream_than_needed() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            yield batch(4 * taken, 4)
            taken += 1

    features, labels, weights = extract_features(averages(), endless(), n_pictures=6)

    assert len(features) == len(labels) == len(weights) == 6
    assert taken == 1  # the second batch was given, a third never asked for
