"""Weights are written whole or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from tl.errors import TrainingError
from tl.training.stored_weights import save_weights


def small_model(width: int = 4) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(width), keras.layers.Dense(2)])
    model.compile(
        keras.optimizers.AdamW(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_failed_write_keeps_the_weights_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model()
    path = tmp_path / "classifier.weights.h5"
    save_weights(model, path)
    before = path.read_bytes()

    def fail(aside: Path) -> None:
        Path(aside).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model, "save_weights", fail)
    with pytest.raises(TrainingError, match="cannot write weights to .*No space left on device"):
        save_weights(model, path)

    assert path.read_bytes() == before
    assert names(tmp_path) == ["classifier.weights.h5"]


@pytest.fixture
def small_disk(mount_disk: Callable[[str], Path]) -> Path:
    """A real file system with 512 KiB of room."""
    return mount_disk("512k")


def test_full_disk_is_a_training_error(small_disk: Path) -> None:
    small, large = small_model(), small_model(30_000)
    path = small_disk / "classifier.weights.h5"
    save_weights(small, path)
    before = path.read_bytes()

    with pytest.raises(TrainingError, match="cannot write weights to"):
        save_weights(large, path)

    assert path.read_bytes() == before
    assert names(small_disk) == ["classifier.weights.h5"]
    assert os.statvfs(small_disk).f_bfree > 0


def test_folder_that_cannot_be_made_is_a_training_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TrainingError, match="cannot write weights to"):
        save_weights(small_model(), tmp_path / "file" / "classifier.weights.h5")
