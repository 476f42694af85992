"""A checkpoint comes back to the bit, or the one before it does."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tl.errors import TrainingError
from tl.training import checkpoints
from tl.training.checkpoints import read_checkpoint, remove_checkpoints, write_checkpoint

ARRAYS: dict[str, NDArray[Any]] = {
    "model/0": np.linspace(0, 1, 7, dtype=np.float32).reshape(1, 7),
    "optimizer/0": np.array(3, np.int64),
    "seed": np.array([1, 2**32 - 1], np.uint32),
}


def write(folder: Path, step: int) -> Path:
    return write_checkpoint(folder, {"step": step}, ARRAYS)


def step_of(folder: Path) -> Any:
    found = read_checkpoint(folder)
    return None if found is None else found.facts["step"]


def test_facts_and_arrays_come_back_to_the_bit(tmp_path: Path) -> None:
    facts = {"step": 3, "loss": float("inf"), "records": [{"name": "é"}]}
    path = write_checkpoint(tmp_path / "new", facts, ARRAYS)

    found = read_checkpoint(tmp_path / "new")

    assert found is not None
    assert found.path == path
    assert {name: found.facts[name] for name in facts} == facts
    assert found.arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert found.arrays[name].dtype == value.dtype
        assert np.array_equal(found.arrays[name], value)


def test_nothing_written_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "absent") is None
    (tmp_path / "notes.txt").write_text("")
    assert read_checkpoint(tmp_path) is None


def test_two_are_kept_and_the_newest_is_taken(tmp_path: Path) -> None:
    for step in (5, 900, 12):
        write(tmp_path, step)

    assert len(list(tmp_path.iterdir())) == 2
    assert step_of(tmp_path) == 12
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_is_seen_and_the_one_before_is_taken(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(seed)
    write(tmp_path, 1)
    newest = write(tmp_path, 2)
    data = bytearray(newest.read_bytes())
    if seed % 4 == 0:
        data = data[: int(rng.integers(len(data)))]
    else:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    newest.write_bytes(data)

    assert step_of(tmp_path) == 1
    assert str(newest) in caplog.text
    write(tmp_path, 3)
    assert step_of(tmp_path) == 3


def test_all_damaged_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    for step in (1, 2):
        write(tmp_path, step).write_bytes(b"")

    assert read_checkpoint(tmp_path) is None


def test_other_versions_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "FORMAT", 99)
    write(tmp_path, 1)
    monkeypatch.undo()

    with pytest.raises(TrainingError, match="another version of tl .*format is 99, this one reads"):
        read_checkpoint(tmp_path)


def test_failed_write_leaves_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, 3)

    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert step_of(tmp_path) == 2


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    """An array of objects has to be pickled; such a file may run anything."""
    path = write_checkpoint(tmp_path, {"step": 1}, {"objects": np.array([{}], object)})

    assert path.is_file()
    assert read_checkpoint(tmp_path) is None
