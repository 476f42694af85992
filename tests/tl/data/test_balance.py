from collections import Counter

import numpy as np
import pytest

from tl.data.balance import balance_classes
from tl.data.contents import InMemory
from tl.data.example import Dataset, column

LABELS = [0] * 12 + [1] * 3 + [2] * 1


@pytest.fixture
def training() -> Dataset:
    keys = [f"{place}.png" for place in range(len(LABELS))]
    return Dataset(
        name="few", class_names=("a", "b", "c"), keys=column(keys),
        labels=np.array(LABELS, np.int32), contents=InMemory([key.encode() for key in keys]),
        rows=np.arange(len(keys)),
    )  # fmt: skip


def test_weights_give_every_class_the_same_sum(training: Dataset) -> None:
    balanced = balance_classes(training, "weights")

    sums = np.bincount(balanced.labels, [one.weight for one in balanced])
    assert sums == pytest.approx([16 / 3] * 3)
    assert sum(one.weight for one in balanced) == pytest.approx(len(training))


def test_weights_multiply_those_that_the_dataset_gives(training: Dataset) -> None:
    from dataclasses import replace

    given = replace(training, weights=np.arange(16, dtype=np.float32))

    balanced = balance_classes(given, "weights")

    assert balanced[3].weight == pytest.approx(3 * 16 / 36)
    assert balanced[15].weight == pytest.approx(15 * 16 / 3)


def test_sampling_shows_every_picture_and_every_class_equally(training: Dataset) -> None:
    balanced = balance_classes(training, "sampling")

    assert Counter(balanced.labels.tolist()) == {0: 12, 1: 12, 2: 12}
    assert {one.key for one in balanced} == {one.key for one in training}
    assert Counter(one.key for one in balanced if one.label == 1) == {
        "12.png": 4, "13.png": 4, "14.png": 4,
    }  # fmt: skip
    assert balanced[20].read() == balanced[20].key.encode()


def test_none_changes_nothing(training: Dataset) -> None:
    assert balance_classes(training, "none") is training
