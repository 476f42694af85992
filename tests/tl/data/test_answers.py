"""Labels as the problem wants them, from every source, and what cannot be taken so."""

import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.config import DataConfig
from tl.data.answers import answer_words
from tl.data.batches import evaluation_batches, training_batches
from tl.data.formats.options import SourceOptions
from tl.data.prepare import PreparedData, prepare_data
from tl.data.sources import open_dataset
from tl.errors import DatasetError

MakeFolder = Callable[..., Path]


@pytest.fixture
def root(make_folder: MakeFolder) -> Path:
    """Forty pictures a/000.png ... a/039.png, and tables beside them."""
    return make_folder({"a": 40})


def table(root: Path, labels: list[str], column: str = "label", split: str = "") -> str:
    rows = [f"a/{n:03d}.png,{label},{split}" for n, label in enumerate(labels)]
    (root / "t.csv").write_text("\n".join([f"path,{column},split", *rows]) + "\n")
    return str(root / "t.csv")


def opened(spec: str, problem: Any) -> Any:
    return open_dataset(spec, SourceOptions(problem=problem))


def prepared(spec: str, **settings: Any) -> PreparedData:
    return prepare_data(spec, DataConfig(**settings), seed=0, cache=None)


def test_problem_is_that_of_the_labels_unless_it_is_asked_for(root: Path) -> None:
    plain, several = ["x", "y"] * 20, ["x|y", "y"] * 20

    assert opened(table(root, plain), "auto").problem == "single_label"
    assert opened(table(root, several, "labels"), "auto").problem == "multi_label"
    asked = opened(table(root, plain), "multi_label")
    assert asked.problem == "multi_label"
    assert asked.label_sets.tolist() == [(0,), (1,)] * 20


@pytest.mark.parametrize("column", ["label", "target", "value", "Age"])
def test_numbers_of_a_table_are_values(column: str, root: Path) -> None:
    labels = ["-1.5", "2", "3e1", " 4 "] * 10
    options = SourceOptions(problem="regression", label_column=column if column == "Age" else None)

    dataset = open_dataset(table(root, labels, column), options)

    assert dataset.problem == "regression"
    assert dataset.class_names == (column,)
    assert dataset.values is not None
    assert dataset.values.dtype == np.float32
    assert dataset.values[:4].tolist() == [-1.5, 2, 30, 4]
    assert dataset.take(np.array([2])).values.tolist() == [30]  # type: ignore[union-attr]
    assert dataset.labels.max() == 0


def test_numbers_of_parquet_and_shards_are_values(root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"a/{n:03d}.png" for n in range(3)]
    pq.write_table(pa.table({"path": names, "value": [0.5, 1.25, -3.0]}), root / "t.parquet")
    with tarfile.open(root / "train-0.tar", "w") as tar:
        for number, value in enumerate((0.5, 1.25, -3.0)):
            for name, data in (
                (f"{number}.png", (root / names[number]).read_bytes()),
                (f"{number}.json", json.dumps({"label": value}).encode()),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, BytesIO(data))

    for source in ("t.parquet", "train-0.tar"):
        values = opened(str(root / source), "regression").values
        assert values.tolist() == [0.5, 1.25, -3.0], source


def test_class_folders_named_by_numbers_are_values(make_folder: MakeFolder) -> None:
    root = make_folder({"1.5": 3, "10": 3, "-2": 3})

    assert opened(str(root), "auto").problem == "single_label"
    dataset = opened(str(root), "regression")

    assert dataset.class_names == ("value",)
    by_folder = {key.split("/")[0] for key in dataset.keys}
    assert all(float(key.split("/")[0]) == value
               for key, value in zip(dataset.keys, dataset.values, strict=True))  # fmt: skip
    assert by_folder == {"1.5", "10", "-2"}


@pytest.mark.parametrize(
    ("label", "message"),
    [("tall", "row 3: column 'label' is 'tall', no finite number"), ("nan", "row 3.*'nan'"),
     ("inf", "row 3.*'inf'"), ("1e39", "row 3.*'1e39'")],
)  # fmt: skip
def test_text_among_numbers_names_its_row(label: str, message: str, root: Path) -> None:
    spec = table(root, ["1", "2", label, "4"])

    with pytest.raises(DatasetError, match=message):
        opened(spec, "regression")


def test_regression_of_classes_without_numbers_is_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"daisy": 3, "2": 3})

    with pytest.raises(DatasetError, match="labels of .* are no numbers: class 'daisy' is 'daisy'"):
        opened(str(root), "regression")


def test_several_labels_are_not_one(root: Path) -> None:
    spec = table(root, ["x", "x|y", "y", "y"], "labels")

    with pytest.raises(DatasetError, match=r"'single_label', but a/001\.png of t is x and y"):
        opened(spec, "single_label")
    one_each = opened(table(root, ["x", "y"] * 4, "labels"), "single_label")
    assert one_each.label_sets is None


def test_one_value_only_is_refused_also_where_only_training_has_one(root: Path) -> None:
    spec = table(root, ["3"] * 40)
    with pytest.raises(DatasetError, match="all 40 training pictures have the one value 3 of"):
        prepared(spec, problem="regression")

    rows = [f"a/{n:03d}.png,{n % 4 if n < 8 else 7},{'test' if n < 8 else 'train'}"
            for n in range(40)]  # fmt: skip
    (root / "t.csv").write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(DatasetError, match="training pictures have the one value 7"):
        prepared(spec, problem="regression")


def test_rare_class_of_several_gets_a_training_picture(root: Path) -> None:
    labels = [f"x|rare{n}" if n < 12 else "x|y" if n % 2 else "y" for n in range(40)]

    data = prepared(table(root, labels, "labels"))

    counts = data.counts()
    for number in range(12):
        assert counts["train"][f"rare{number}"] == 1
    assert data.side_counts()["train"] + data.side_counts()["test"] < 40
    assert all(data.side_counts().values())


def test_class_of_several_without_a_training_picture_is_refused(root: Path) -> None:
    rows = [f"a/{n:03d}.png,{'x|y' if n % 2 else 'y'},train" for n in range(30)]
    rows += ["a/030.png,y|rare,test"]
    (root / "t.csv").write_text("\n".join(["path,labels,split", *rows]))

    with pytest.raises(DatasetError, match="class 'rare' has no picture on train.*1 on test"):
        prepared(str(root / "t.csv"))


def test_few_shots_of_several_labels_give_no_class_fewer(root: Path) -> None:
    labels = ["x|y" if n % 3 == 0 else "x" if n % 3 == 1 else "z" for n in range(40)]

    data = prepared(table(root, labels, "labels"), shots=4)

    counts = data.counts()["train"]
    assert min(counts.values()) == 4
    assert data.side_counts()["train"] < 16


def test_batches_carry_what_the_problem_learns(root: Path) -> None:
    several = opened(table(root, ["x|z", "y"] * 20, "labels"), "auto")
    numbers = opened(table(root, [f"{n / 2}" for n in range(40)]), "regression")
    plain = opened(table(root, ["x", "y"] * 20), "auto")

    targets = {}
    for name, dataset in (("several", several), ("numbers", numbers), ("plain", plain)):
        ((_, targets[name], weights),) = evaluation_batches(dataset, (8, 8), batch_size=40)
        assert weights.tolist() == [1] * 40
    assert targets["several"].dtype == np.float32
    assert targets["several"].tolist() == [[1, 0, 1], [0, 1, 0]] * 20
    assert targets["numbers"].dtype == np.float32
    assert targets["numbers"].tolist() == [[n / 2] for n in range(40)]
    assert targets["plain"].dtype == np.int32
    assert targets["plain"].tolist() == [0, 1] * 20


def test_unreadable_picture_of_numbers_weighs_nothing(root: Path) -> None:
    dataset = opened(table(root, [str(n) for n in range(40)]), "regression")
    (root / "a" / "005.png").write_bytes(b"")

    ((_, values, weights),) = evaluation_batches(dataset, (8, 8), batch_size=40)
    _, drawn, drawn_weights = next(iter(
        training_batches(dataset, lambda image, seed: image[:8, :8], batch_size=40, seed=0)
    ))  # fmt: skip

    assert weights.tolist() == [1] * 5 + [0] + [1] * 34
    assert values[5].item() == 6
    assert drawn.shape == (40, 1)
    assert drawn_weights.sum() == 39


def test_words_say_what_the_pictures_are_labelled_with(root: Path) -> None:
    words = [
        answer_words(opened(table(root, ["x", "y"] * 20), "auto")),
        answer_words(opened(table(root, ["x|y", "y"] * 20, "labels"), "auto")),
        answer_words(opened(table(root, ["1.5", "20"] * 20, "value"), "regression")),
    ]

    assert words == ["in 2 classes", "in 2 classes, 1.5 of them a picture",
                     "with 'value' from 1.5 to 20"]  # fmt: skip
