"""What is read is what was written, whatever happened to the file in between."""

import multiprocessing
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl.feature_store import FeatureStore, prune

RNG = np.random.default_rng(0)
NAMES = [f"picture {number}" for number in range(20)]
ROWS = RNG.normal(size=(20, 5)).astype(np.float32)
FACTS = {"backbone": "tl_small", "size": [32, 32]}


def filled(folder: Path, count: int = 20, precision: str = "float32") -> Path:
    FeatureStore(folder, FACTS, 5, precision).append(NAMES[:count], ROWS[:count])
    (path,) = folder.iterdir()
    return path


def test_rows_come_back_to_the_bit_in_any_order(tmp_path: Path) -> None:
    filled(tmp_path)
    order = RNG.permutation(20)

    features, found = FeatureStore(tmp_path, FACTS, 5).read([NAMES[place] for place in order])

    assert found.all()
    assert np.array_equal(features, ROWS[order])


def test_what_was_never_written_is_not_found(tmp_path: Path) -> None:
    assert not FeatureStore(tmp_path / "new", FACTS, 5).read(NAMES)[1].any()
    filled(tmp_path, 12)

    features, found = FeatureStore(tmp_path, FACTS, 5).read(NAMES)

    assert found.tolist() == [True] * 12 + [False] * 8
    assert not features[12:].any()


@pytest.mark.parametrize(
    "other",
    [{"backbone": "resnet50", "size": [32, 32]}, {"backbone": "tl_small", "size": [64, 64]}, {}],
)
def test_other_facts_are_another_file(other: dict[str, object], tmp_path: Path) -> None:
    filled(tmp_path)

    assert not FeatureStore(tmp_path, other, 5).read(NAMES)[1].any()
    assert not FeatureStore(tmp_path, FACTS, 6).read(NAMES)[1].any()


def test_half_precision_takes_half_the_room_and_reads_as_rounded(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole").stat().st_size
    half = filled(tmp_path / "half", precision="float16").stat().st_size
    store = FeatureStore(tmp_path / "half", FACTS, 5, "float16")

    features, found = store.read(NAMES)

    assert whole - half == 20 * 5 * 2
    assert found.all()
    assert features.dtype == np.float32
    assert np.array_equal(features, store.rounded(ROWS))
    assert np.allclose(features, ROWS, atol=2e-3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cut=st.integers(0, 40), flips=st.lists(st.integers(0, 10**6), max_size=3))
def test_damage_costs_rows_and_never_gives_wrong_ones(
    cut: int, flips: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("store")
    path = filled(folder)
    data = bytearray(path.read_bytes()[: path.stat().st_size - cut])
    for flip in flips:
        data[flip % len(data)] ^= 1 << (flip % 8)
    path.write_bytes(data)

    store = FeatureStore(folder, FACTS, 5)
    features, found = store.read(NAMES)

    assert found.sum() >= 20 - len(flips) - 2
    assert np.array_equal(features[found], ROWS[found])
    # What is missing is added after the last whole record, and all is there again.
    missing = np.flatnonzero(~found)
    store.append([NAMES[place] for place in missing], ROWS[missing])
    again, complete = FeatureStore(folder, FACTS, 5).read(NAMES)
    assert complete.all()
    assert np.array_equal(again, ROWS)


def _append(folder: Path, place: int) -> None:
    for _ in range(50):
        FeatureStore(folder, FACTS, 5).append([NAMES[place]], ROWS[place : place + 1])


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(tmp_path, place)) for place in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    features, found = FeatureStore(tmp_path, FACTS, 5).read(NAMES[:4])

    assert found.all()
    assert np.array_equal(features, ROWS[:4])


def test_store_without_a_folder_keeps_nothing(tmp_path: Path) -> None:
    store = FeatureStore(None, FACTS, 5)
    store.append(NAMES, ROWS)

    assert not store.read(NAMES)[1].any()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_takes_nothing_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    store = FeatureStore(tmp_path / "file" / "below", FACTS, 5)
    store.append(NAMES, ROWS)
    store.append(NAMES, ROWS)

    assert caplog.text.count("features are not kept for the next run") == 1


def test_oldest_files_go_first_and_recent_ones_stay(tmp_path: Path) -> None:
    now = time.time()
    for name, hours in (("old", 5), ("older", 9), ("new", 0)):
        path = tmp_path / f"{name}.features"
        path.write_bytes(b"x" * 100)
        os.utime(path, (now - 3600 * hours, now - 3600 * hours))

    prune(tmp_path, limit_bytes=250)
    assert {path.stem for path in tmp_path.iterdir()} == {"old", "new"}
    prune(tmp_path, limit_bytes=10)
    assert {path.stem for path in tmp_path.iterdir()} == {"new"}


def test_file_is_mapped_and_not_read_into_memory(tmp_path: Path) -> None:
    rows, width = 10_000, 1_000
    names = [str(number) for number in range(rows)]
    FeatureStore(tmp_path, FACTS, width).append(names, np.ones((rows, width), np.float32))
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size > 40_000_000

    tracemalloc.start()
    try:
        features, found = FeatureStore(tmp_path, FACTS, width).read(names[-1:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found.all()
    assert features.sum() == width
    assert peak < 10_000_000
