"""Charts are pictures, whatever the run looked like."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl.evaluation.charts import draw_confusion, draw_curves
from tl.training.progress import EpochRecord


def record(phase: str, epoch: int, metrics: dict[str, float]) -> EpochRecord:
    return EpochRecord(
        phase=phase, epoch=epoch, step=epoch, seconds=1.0, images_per_second=9.0,
        metrics=metrics, best=True,
    )  # fmt: skip


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        return picture.size


FULL = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.4}


@pytest.mark.parametrize(
    "records",
    [
        [record("head", 1, FULL), record("head", 2, FULL), record("fine-tune last", 1, FULL)],
        [record("head", 1, {"loss": 1.0, "accuracy": 0.5})],
    ],
    ids=["two phases", "no validation"],
)
def test_curves_are_drawn(records: list[EpochRecord], tmp_path: Path) -> None:
    draw_curves(records, tmp_path / "curves.png")

    assert size(tmp_path / "curves.png") == (1100, 440)


@pytest.mark.parametrize("n_classes", [2, 30, 101])
def test_confusion_is_drawn_for_few_and_many_classes(n_classes: int, tmp_path: Path) -> None:
    counts = np.eye(n_classes, dtype=int).tolist()
    names = [f"class {number}" for number in range(n_classes)]

    draw_confusion(counts, names, tmp_path / "confusion.png")

    width, height = size(tmp_path / "confusion.png")
    assert width == height <= 1760
