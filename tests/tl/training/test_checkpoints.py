"""A checkpoint brings back model and optimizer, or says that it cannot."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from tl.errors import TrainingError
from tl.training.checkpoints import restore_checkpoint, save_checkpoint, save_weights

X = np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


def small_model(width: int = 4) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(width), keras.layers.Dense(2)])
    model.compile(
        keras.optimizers.AdamW(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def steps(model: keras.Model, count: int) -> None:
    for _ in range(count):
        model.train_on_batch(X, Y)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_training_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    straight = small_model()
    steps(straight, 3)
    save_checkpoint(straight, tmp_path, 3)
    steps(straight, 3)

    resumed = small_model()
    assert restore_checkpoint(resumed, tmp_path) == 3
    assert int(resumed.optimizer.iterations.numpy()) == 3
    steps(resumed, 3)

    for one, other in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        assert np.allclose(one, other, atol=1e-6)
    # Without the optimizer's moments the same steps lead elsewhere.
    forgetful = small_model()
    restore_checkpoint(forgetful, tmp_path)
    forgetful.optimizer = keras.optimizers.AdamW(0.05)
    forgetful.compile(keras.optimizers.AdamW(0.05), straight.loss)
    steps(forgetful, 3)
    assert not np.allclose(forgetful.get_weights()[0], straight.get_weights()[0], atol=1e-3)


def test_folder_without_checkpoints_begins_at_step_0(tmp_path: Path) -> None:
    assert restore_checkpoint(small_model(), tmp_path / "nothing") == 0
    (tmp_path / "notes.txt").write_text("")
    assert restore_checkpoint(small_model(), tmp_path) == 0


def test_only_the_last_two_are_kept_and_the_newest_is_taken(tmp_path: Path) -> None:
    model = small_model()
    for step in (5, 10, 100, 15):
        if step == 100:
            steps(model, 1)
            newest = model.get_weights()[0]
        save_checkpoint(model, tmp_path, step)

    assert names(tmp_path) == ["step-00000015.weights.h5", "step-00000100.weights.h5"]
    other = small_model()
    assert restore_checkpoint(other, tmp_path) == 100
    assert np.array_equal(other.get_weights()[0], newest)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "another model"])
def test_damaged_checkpoint_is_refused_with_what_to_do(damage: str, tmp_path: Path) -> None:
    path = save_checkpoint(small_model(6 if damage == "another model" else 4), tmp_path, 7)
    data = path.read_bytes()
    if damage != "another model":
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"text"}[damage])

    with pytest.raises(TrainingError, match="damaged or belongs to another model; move .* away"):
        restore_checkpoint(small_model(), tmp_path)


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
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with 512 KiB of room."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


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
