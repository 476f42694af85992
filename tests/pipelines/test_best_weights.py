"""A full disk costs time, not what was trained."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.best_weights import BestWeights
from tl.classifier import Classifier, build_classifier
from tl.errors import TrainingError
from tl.run_folder import read_record, write_record
from tl.zoo.backbones import find_backbone


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return build_classifier(
        find_backbone("tl_small"), n_classes=3, image_size=(32, 32), weights=None, dropout=0.0
    )


@pytest.fixture
def small_disk(mount_disk: Callable[[str], Path], trained: Any) -> Path:
    """A run's folder on a real file system of 8 MiB that is full."""
    folder = mount_disk("8m")
    write_record(folder, read_record(trained.run))
    (folder / "other").write_bytes(b"x" * (7900 * 1024))
    return folder


def test_training_goes_on_and_the_end_waits_for_room(
    small_disk: Path, classifier: Classifier
) -> None:
    said: list[str] = []
    best = BestWeights(small_disk, said.append)
    best(classifier)
    best(classifier)
    assert len(said) == 1
    assert "No space left on device; training goes on, and its end tries again" in said[0]
    assert not (small_disk / "classifier.weights.h5").exists()

    def tidy_up() -> None:
        time.sleep(1)
        (small_disk / "other").unlink()

    threading.Thread(target=tidy_up).start()
    best.finish(classifier, wait_s=60)

    assert (small_disk / "classifier.weights.h5").stat().st_size > 100_000
    assert "waiting up to 1 minutes for room" in said[1]
    assert read_record(small_disk).taps == classifier.taps
    best.finish(classifier)
    assert len(said) == 2


def test_waiting_ends(small_disk: Path, classifier: Classifier) -> None:
    best = BestWeights(small_disk, lambda line: None)
    best(classifier)

    with pytest.raises(TrainingError, match="trained weights could not be kept: .*No space left"):
        best.finish(classifier, wait_s=0.1)


def test_what_was_the_best_is_stored_at_once(
    tmp_path: Path, trained: Any, classifier: Classifier
) -> None:
    write_record(tmp_path, read_record(trained.run))
    best = BestWeights(tmp_path, lambda line: None)

    best(classifier)

    assert (tmp_path / "classifier.weights.h5").is_file()
