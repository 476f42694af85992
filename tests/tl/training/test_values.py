"""Fine-tuning on values: as well in any unit, and really learning."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.config import DataConfig
from tl.data.prepare import PreparedData, prepare_data
from tl.heads import unit_of
from tl.training.progress import EpochRecord
from tl.training.task import Task
from tl.training.tuning import train_classifier

Setup = Callable[..., dict[str, Any]]
SETTINGS = {"training.strategy": "last", "training.epochs": 6, "training.learning_rate": 1e-3,
            "training.penalty": 1e5, "training.batch_size": 16}  # fmt: skip


@pytest.fixture(scope="module")
def data(discs: Path) -> PreparedData:
    config = DataConfig(problem="regression", label_column="diameter")
    return prepare_data(str(discs), config, seed=0, cache=None)


def learn(
    setup: dict[str, Any], data: PreparedData, scale: float, offset: float
) -> tuple[Task, list[EpochRecord]]:
    """Train on the values times a scale and moved; a head held far from them leaves much to do."""
    from tl.classifier import build_classifier
    from tl.zoo.backbones import find_backbone
    from tl.zoo.weights import resolve_weights

    row = find_backbone("tl_small")
    setup["classifier"] = build_classifier(
        row, n_classes=1, image_size=(32, 32), weights=resolve_weights(row, "tl"), dropout=0.0,
        problem="regression",
    )  # fmt: skip
    for name, side in (("training", "train"), ("validation", "val")):
        pictures = data.side(side)  # type: ignore[arg-type]
        assert pictures.values is not None
        moved = (pictures.values - 4000) / 2000 * scale + offset
        setup[name] = replace(pictures, values=moved.astype(np.float32))
    task = Task(**setup, problem="regression")
    return task, train_classifier(task).records


@pytest.mark.slow
def test_values_in_any_unit_are_learned_alike(training_setup: Setup, data: PreparedData) -> None:
    runs = [
        learn(training_setup(**SETTINGS), data, scale, offset)
        for scale, offset in ((1.0, 0.0), (1000.0, 5000.0), (1e-4, 0.0))
    ]

    plain, _, _ = (records for _, records in runs)
    tuned = [one.metrics["val_loss"] for one in plain if one.phase == "fine-tune last"]
    head = next(one.metrics["val_loss"] for one in plain if one.phase == "head")
    assert min(tuned) < 0.3 * head  # it learned, from a head that hardly had
    for scale, (_, records) in zip((1.0, 1000.0, 1e-4), runs, strict=True):
        assert len(records) == len(plain)
        for one, other in zip(plain, records, strict=True):
            assert other.metrics["val_loss"] == pytest.approx(one.metrics["val_loss"], rel=0.1)
            assert other.metrics["mae"] / scale == pytest.approx(one.metrics["mae"], rel=0.1)
    for scale, offset, (task, _) in zip((1.0, 1000.0), (0.0, 5000.0), runs, strict=False):
        unit = unit_of(task.classifier.model)
        values = task.training.values  # type: ignore[attr-defined]
        assert unit.mean == pytest.approx(values.mean(), rel=1e-3, abs=1e-3 * scale)
        assert unit.deviation == pytest.approx(values.std(), rel=1e-3)
        assert abs(unit.mean - offset) < scale
