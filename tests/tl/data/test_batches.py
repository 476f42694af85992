import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tl.data import batches
from tl.data.batches import (
    Feed,
    PictureSource,
    decoded_pictures,
    evaluation_batches,
    training_batches,
)
from tl.data.contents import Files, InMemory
from tl.data.decode import decode_picture
from tl.data.decoded_cache import DiskCache, RamCache
from tl.data.example import Example
from tl.data.sources import open_dataset
from tl.errors import DatasetError

Batch = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32]]
MakePng = Callable[[int], bytes]


def shifted(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """An augmentation that leaves the picture's number alone and shows its seed."""
    view = image.copy()
    view[-1, -1] = (seed % 256, seed // 256 % 256, seed // 65536 % 256)
    return view


@pytest.fixture(autouse=True)
def nothing_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of its own."""
    monkeypatch.setattr(batches, "_REPORTED", {})


@pytest.fixture
def examples(make_folder: Callable[..., Path]) -> list[Example]:
    return list(open_dataset(str(make_folder({"cats": 7, "dogs": 6}))))


def numbers(images: NDArray[np.uint8]) -> list[int]:
    """The numbers that `make_png` wrote into the first pixels (blue first)."""
    return [int(image[0, 0, 2]) for image in images]


def take(
    examples: list[Example], count: int, *, batch_size: int = 4, first_step: int = 0, seed: int = 3
) -> list[Batch]:
    dataset = training_batches(
        examples, shifted, batch_size=batch_size, seed=seed, first_step=first_step
    )
    return list(islice(iter(dataset), count))


def assert_equal(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)


def test_batches_have_the_promised_shapes_and_types(examples: list[Example]) -> None:
    images, labels, weights = take(examples, 1)[0]

    assert [images.shape, labels.shape, weights.shape] == [(4, 8, 8, 3), (4,), (4,)]
    assert [str(one.dtype) for one in (images, labels, weights)] == ["uint8", "int32", "float32"]


def test_number_of_threads_changes_no_batch(
    examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    four = take(examples, 12)
    monkeypatch.setattr(batches, "READ_THREADS", 1)

    assert_equal(take(examples, 12), four)


@pytest.mark.parametrize("first_step", [1, 3, 4, 11])
def test_resumed_batches_equal_the_uninterrupted_ones(
    first_step: int, examples: list[Example]
) -> None:
    whole = take(examples, 16)

    assert_equal(take(examples, 16 - first_step, first_step=first_step), whole[first_step:])


def test_seed_decides_order_and_augmentation(examples: list[Example]) -> None:
    one, other = take(examples, 3, seed=3), take(examples, 3, seed=4)

    assert [numbers(b[0]) for b in one] != [numbers(b[0]) for b in other]
    assert_equal(take(examples, 3, seed=3), one)


def test_each_epoch_shows_every_picture_once_in_an_order_and_view_of_its_own(
    examples: list[Example],
) -> None:
    seen = take(examples, 13)  # four epochs of 13 pictures in batches of 4
    shown = [number for images, _, _ in seen for number in numbers(images)]
    views = [tuple(image[-1, -1]) for images, _, _ in seen for image in images]
    epochs = [shown[at : at + 13] for at in range(0, 52, 13)]

    assert all(sorted(epoch) == list(range(13)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len(set(views)) == 52
    assert all((weights == 1).all() for _, _, weights in seen)


def test_labels_stay_with_their_pictures(examples: list[Example]) -> None:
    for images, labels, _ in take(examples, 6):
        assert [int(label) for label in labels] == [int(n >= 7) for n in numbers(images)]


def test_deleted_file_is_replaced_with_weight_0_and_one_log_line(
    examples: list[Example], caplog: pytest.LogCaptureFixture
) -> None:
    gone = examples[5].path
    assert gone is not None
    caplog.set_level(logging.WARNING)
    dataset = iter(training_batches(examples, shifted, batch_size=4, seed=3))
    first = next(dataset)
    gone.unlink()
    # grain has read some batches ahead; steps 26 to 38, four whole epochs, are past them.
    rest = list(islice(dataset, 38))[-13:]

    shown = [n for images, _, _ in rest for n in numbers(images)]
    weights = [float(w) for _, _, its in rest for w in its]
    assert len(first[2]) == 4
    assert weights.count(0.0) == 4
    assert all(shown[i] == 6 for i, weight in enumerate(weights) if weight == 0)
    assert 5 not in shown
    lines = [r.getMessage() for r in caplog.records if "is left out of training" in r.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("cats/005.png is left out of training: cannot read cats/005.png")


def test_file_that_changes_in_mid_epoch_is_read_as_it_is_or_replaced(
    examples: list[Example], make_png: MakePng, caplog: pytest.LogCaptureFixture
) -> None:
    changed, damaged = examples[2].path, examples[9].path
    assert changed is not None
    assert damaged is not None
    source = PictureSource(examples)
    assert numbers(np.stack([source[2][0], source[9][0]])) == [2, 9]
    changed.write_bytes(make_png(99))
    damaged.write_bytes(make_png(9)[:-20])

    assert (numbers(source[2][0][None]), source[2][2]) == ([99], 1)
    assert (numbers(source[9][0][None]), source[9][2]) == ([10], 0)
    assert "dogs/002.png is left out of training: damaged or cut-off PNG" in caplog.text


def test_threads_that_meet_the_same_damaged_picture_log_it_once(
    make_png: MakePng, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PictureSource(
        [Example("bad", 0, InMemory([b""])), Example("good", 1, InMemory([make_png(1)]))]
    )
    meet = threading.Barrier(8)

    def decode(data: bytes, *rest: Any) -> NDArray[np.uint8]:
        if not data:
            meet.wait()
        return decode_picture(data, *rest)

    monkeypatch.setattr(batches, "decode_picture", decode)
    threads = [threading.Thread(target=source.__getitem__, args=(0,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum("bad is left out" in record.getMessage() for record in caplog.records) == 1


def test_no_readable_picture_left_stops_the_run(tmp_path: Path) -> None:
    source = PictureSource([Example(name, 0, Files(tmp_path, [name])) for name in "ab"])

    with pytest.raises(DatasetError, match="none of the training pictures can be read"):
        source[0]


def test_no_examples_are_refused() -> None:
    with pytest.raises(DatasetError, match="no picture to make batches of"):
        PictureSource([])


def test_picture_that_inspection_accepted_is_not_refused_by_its_size(
    tmp_path: Path,
) -> None:
    # data.max_megapixels may be above the default of 100; 101 megapixels of one bit are small.
    path = tmp_path / "large.png"
    done, data = cv2.imencode(
        ".png", np.zeros((10_100, 10_000), np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1]
    )
    assert done
    path.write_bytes(bytes(data))

    image, _, weight = PictureSource([Example("large", 0, Files(path.parent, [path.name]))])[0]

    assert image.shape == (10_100, 10_000, 3)
    assert weight == 1


def test_batch_larger_than_the_dataset_goes_round(examples: list[Example]) -> None:
    images, _, weights = take(examples[:3], 1, batch_size=8)[0]

    counts = Counter(numbers(images))
    assert sum(counts.values()) == 8
    assert set(counts) == {0, 1, 2}
    assert max(counts.values()) <= 3
    assert (weights == 1).all()


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4, 4, 1]), (13, [13]), (50, [13])])
def test_evaluation_shows_all_pictures_in_order_and_ends(
    batch_size: int, sizes: list[int], examples: list[Example]
) -> None:
    dataset: Any = evaluation_batches(examples, (8, 8), batch_size=batch_size)

    for _ in range(2):  # each iteration is one pass
        got: list[Batch] = list(dataset)
        assert [n for images, _, _ in got for n in numbers(images)] == list(range(13))
        assert [len(images) for images, _, _ in got][:-1] == [batch_size] * (
            13 // batch_size - 1
        ) + ([batch_size] if 13 % batch_size and batch_size < 13 else [])
        assert sum(len(images) for images, _, _ in got) == 13
        assert all((weights == 1).all() for _, _, weights in got)


def test_evaluation_gives_the_size_that_is_asked_for(examples: list[Example]) -> None:
    images = next(iter(evaluation_batches(examples, (5, 9), batch_size=4)))[0]

    assert images.shape == (4, 5, 9, 3)


def test_decoded_pictures_come_in_order_without_the_unreadable(make_png: MakePng) -> None:
    examples = [
        Example(str(i), 0, InMemory([b"" if i % 10 == 3 or i == 59 else make_png(i)]))
        for i in range(60)
    ]

    shown = [int(image[0, 0, 2]) for image in decoded_pictures(examples)]

    assert shown == [i for i in range(60) if i % 10 != 3 and i != 59]


def test_decoded_pictures_are_not_all_held_at_once(make_png: MakePng) -> None:
    read: list[int] = []

    class Listening(InMemory):
        def read(self, row: int) -> bytes:
            read.append(1)
            return super().read(row)

    contents = Listening([make_png(1)])
    pictures: Iterator[Any] = decoded_pictures([Example(str(i), 0, contents) for i in range(500)])
    for _ in range(3):
        next(pictures)

    assert len(read) <= 3 + 4 * batches.READ_THREADS + os.cpu_count()  # type: ignore[operator]
    pictures.close()  # type: ignore[attr-defined]


def feed_batches(examples: Sequence[Example], count: int, feed: Feed) -> list[Batch]:
    dataset = training_batches(examples, shifted, batch_size=4, seed=3, feed=feed)
    return list(islice(iter(dataset), count))


@given(
    threads=st.integers(1, 8),
    processes=st.integers(0, 3),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**31),
    first_step=st.integers(0, 40),
)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_threads_processes_and_place_of_entry_change_no_batch(
    threads: int, processes: int, batch_size: int, seed: int, first_step: int,
    examples: list[Example],
) -> None:  # fmt: skip
    def batches_of(feed: Feed, first: int, count: int) -> list[Batch]:
        return list(islice(iter(training_batches(
            examples, shifted, batch_size=batch_size, seed=seed, first_step=first, feed=feed,
        )), count))  # fmt: skip

    with mock.patch.object(batches, "READ_THREADS", 1):
        whole = batches_of(Feed(), 0, first_step + 4)
    with mock.patch.object(batches, "READ_THREADS", threads):
        found = batches_of(Feed(processes=processes), first_step, 4)

    assert_equal(found, whole[first_step:])


@pytest.mark.parametrize("count", [2, 3])
def test_hosts_share_every_epoch_between_them(count: int, examples: list[Example]) -> None:
    by_host = [feed_batches(examples, 6, Feed(shard=(number, count))) for number in range(count)]

    shown = [[n for images, _, _ in its for n in numbers(images)] for its in by_host]
    together = [shown[place % count][place // count] for place in range(6 * 4)]
    whole = [n for images, _, _ in take(examples, 6) for n in numbers(images)]
    assert together == whole[: len(together)]


def test_cached_pictures_give_the_same_batches_and_are_decoded_once(
    examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = take(examples, 13)
    shapes = {one.key: (8, 8) for one in examples}
    identities = {one.key: one.key for one in examples}
    kept: list[str] = []

    def listening(cache: Any) -> Any:
        keep = cache.put

        def put(key: str, image: NDArray[np.uint8]) -> None:
            kept.append(key)
            keep(key, image)

        monkeypatch.setattr(cache, "put", put)
        return cache

    monkeypatch.setattr(batches, "READ_THREADS", 1)  # two threads may decode the same one
    for make in (RamCache, lambda: DiskCache(tmp_path / "cache", shapes, identities)):
        kept.clear()
        assert_equal(feed_batches(examples, 13, Feed(cache=listening(make()))), expected)
        assert sorted(kept) == sorted(one.key for one in examples)
    kept.clear()
    again = listening(DiskCache(tmp_path / "cache", shapes, identities))

    assert_equal(feed_batches(examples, 13, Feed(cache=again)), expected)
    assert not kept


def test_cache_on_disk_is_shared_with_other_processes(
    examples: list[Example], tmp_path: Path
) -> None:
    shapes = {one.key: (8, 8) for one in examples}
    cache = DiskCache(tmp_path, shapes, {one.key: one.key for one in examples})

    found = feed_batches(examples, 9, Feed(cache=cache, processes=2))

    assert_equal(found, take(examples, 9))
    assert any(cache.get(one.key) is not None for one in examples)


def test_much_larger_jpegs_are_decoded_smaller(tmp_path: Path) -> None:
    picture = np.full((600, 801, 3), 90, np.uint8)
    picture[:, :400] = (200, 40, 10)
    done, data = cv2.imencode(".jpg", picture)
    assert done
    example = Example("large.jpg", 0, InMemory([bytes(data)]))

    image, _, _ = PictureSource([example], at_least=140)[0]
    whole, _, _ = PictureSource([example])[0]

    assert image.shape == (150, 201, 3)
    assert whole.shape == (600, 801, 3)
    smaller = cv2.resize(whole, (201, 150), interpolation=cv2.INTER_AREA).astype(int)
    assert abs(smaller - image).mean() < 1


def test_weights_of_the_examples_reach_the_batch(make_png: MakePng) -> None:
    examples = [Example(str(n), 0, InMemory([make_png(n)]), weight=n / 4) for n in range(4)]

    _, _, weights = next(iter(training_batches(examples, shifted, batch_size=4, seed=0)))

    assert sorted(weights) == [0.0, 0.25, 0.5, 0.75]
