"""The table of predictions: what is written comes back, and pandas reads it."""

from pathlib import Path

import numpy as np
import pytest

from tl.errors import ConfigError
from tl.evaluation.predictions import Predictions, read_predictions, write_predictions


def table(problem: str = "single_label") -> Predictions:
    answers = np.array([[0.7, 0.3], [0.2, 0.8], [0.9, 0.1]], np.float32)
    truths = {
        "single_label": np.array([0, 1, 1]),
        "multi_label": np.array([[1, 0], [1, 1], [0, 1]], np.float32),
        "regression": np.array([[1.5], [2.5], [-3.0]], np.float32),
    }
    return Predictions(
        problem=problem,  # type: ignore[arg-type]
        class_names=("Ähre, reif", "b\tc"),
        side="test",
        keys=["a/1.jpg", "b/2.jpg", "b/ü.jpg"],
        identities=["aa", "bb", "cc"],
        truth=truths[problem],
        answers=answers[:, :1] if problem == "regression" else answers,
        extras={"abstain": np.array([True, False, False]), "ood_score": np.array([0.1, 2, 0.5])},
        cuts={"size": ["small", "large", "small"]},
    )


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_what_is_written_comes_back(problem: str, tmp_path: Path) -> None:
    written = table(problem)
    write_predictions(written, tmp_path / "predictions.parquet")
    read = read_predictions(tmp_path / "predictions.parquet")

    assert read.problem == problem
    for name in ("class_names", "side", "keys", "identities", "cuts"):
        assert getattr(read, name) == getattr(written, name), name
    assert np.array_equal(read.truth, written.truth)
    assert read.truth.dtype.kind == written.truth.dtype.kind
    assert np.array_equal(read.answers, written.answers)
    assert read.answers.dtype == np.float32
    for name, values in written.extras.items():
        assert np.array_equal(read.extras[name], values), name


def test_right_predicted_and_confidence() -> None:
    one = table()
    assert one.predicted.tolist() == [0, 1, 0]
    assert one.right.tolist() == [True, True, False]
    assert one.confidence == pytest.approx([0.7, 0.8, 0.9])
    assert table("multi_label").right.tolist() == [True, False, False]


def test_pandas_shows_words(tmp_path: Path) -> None:
    import pandas as pd

    write_predictions(table(), tmp_path / "predictions.parquet")
    frame = pd.read_parquet(tmp_path / "predictions.parquet")
    assert frame["label"].tolist() == ["Ähre, reif", "b\tc", "b\tc"]
    assert frame["predicted"].tolist() == ["Ähre, reif", "b\tc", "Ähre, reif"]
    assert frame["right"].tolist() == [True, True, False]


def test_absent_and_damaged_tables_are_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with pytest.raises(ConfigError, match=r"has no predictions.parquet.*tl export"):
        read_predictions(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match="damaged"):
        read_predictions(path)
