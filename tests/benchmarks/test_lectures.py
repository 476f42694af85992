"""The comparisons of docs/lectures.md: what is trained, gone on with, drawn and told."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 26), ("test", 2)):
        for name in "abcdefghij":
            folder = tmp_path / "cifar" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index:04}.png")
    return tmp_path / "cifar"


def facts(network: str, seed: int, *accuracies: float) -> dict[str, Any]:
    return {
        "network": network, "seed": seed, "parameters": 1_000, "training_pictures": 50_000,
        "epochs": [{"train_accuracy": 0.9, "test_accuracy": one} for one in accuracies],
    }  # fmt: skip


def test_every_network_that_is_compared_can_be_built_and_gives_ten_logits() -> None:
    from benchmarks.lectures import AUXILIARY, COMPARISONS, build

    sides = {name: one.side for one in COMPARISONS for name in one.networks.values()}
    for name, side in sides.items():
        if name not in (AUXILIARY, "plain34", "resnet34"):  # they take seconds, and are in the zoo
            model = build(name, side)
            assert model.output.shape == (None, 10), name
            assert any("dropout" in layer.name for layer in model.layers) == (
                name.endswith("+dropout")
                or name in ("allconv", "allconv:pooling=true", "googlenet")
            ), name


def test_training_views_are_shifted_and_mirrored_pictures_with_their_labels(cifar: Path) -> None:
    from benchmarks.lectures import AugmentedBatches, read_pictures

    pictures, labels = read_pictures(cifar / "train")
    assert (pictures.shape, labels.shape) == ((260, 32, 32, 3), (260,))
    assert read_pictures(cifar / "train", 20)[1].tolist() == sorted(list(range(10)) * 2)
    batches = AugmentedBatches(pictures, labels, seed=0)

    views, of_views = batches[0]

    assert len(batches) == 2
    assert len(views) == 128
    padded = np.pad(pictures, ((0, 0), (4, 4), (4, 4), (0, 0)))
    for view, label in zip(views[:8], of_views[:8], strict=True):
        assert any(
            np.array_equal(padded[index, top : top + 32, left : left + 32], one)
            for index in np.flatnonzero(labels == label)
            for top in range(9)
            for left in range(9)
            for one in (view, view[:, ::-1])
        )
    before = batches.order.copy()
    batches.on_epoch_end()
    assert not np.array_equal(before, batches.order)
    assert np.array_equal(np.sort(before), np.sort(batches.order))


def test_what_is_trained_is_a_line_and_is_not_trained_again(
    cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import lectures

    one = lectures.Comparison(title="", side=32, networks={"tanh": "lenet5:activation=tanh"})
    monkeypatch.setattr(lectures, "COMPARISONS", (one,))
    options = Namespace(
        pictures_folder=cifar, results=tmp_path / "results.jsonl", epochs=2, seeds=2, only=None,
        pictures=260, test_pictures=260, precision="float32", machine="a test", share="0/1",
    )  # fmt: skip

    lectures.train_missing(options)
    lines = options.results.read_text().splitlines()
    options.results.write_text(lines[0] + "\n")
    lectures.train_missing(options)

    first, again = lectures.read_results(options.results)
    assert json.loads(lines[0]) == first
    assert (again["seed"], again["machine"], len(again["epochs"])) == (1, "a test", 2)
    assert first["parameters"] == 62_006
    # The same seed gives the same curve.
    assert json.loads(lines[1])["epochs"] == again["epochs"]


def test_table_and_picture_have_every_seed(tmp_path: Path) -> None:
    from benchmarks.comparison.curves import draw_curves, table_of_curves
    from benchmarks.lectures import Comparison

    pair = Comparison(title="Pairs", side=32, networks={"one": "lenet5", "other": "allconv"})
    results = [facts("lenet5", 1, 0.5, 0.7), facts("lenet5", 0, 0.4, 0.6),
               facts("allconv", 0, 0.1, 0.2)]  # fmt: skip

    table = table_of_curves([pair], results).splitlines()
    draw_curves([pair], results, tmp_path / "curves.svg")

    assert table[2:] == [
        "| Pairs | one, `lenet5` | 1,000 | 50,000 x 2 | 90.0 | 60.0, 70.0 | 65.0 |",
        "|  | other, `allconv` | 1,000 | 50,000 x 2 | 90.0 | 20.0 | 20.0 |",
    ]
    assert (tmp_path / "curves.svg").read_text().count("<svg") == 1


def test_page_has_the_table_of_what_was_measured() -> None:
    from benchmarks.comparison.curves import table_of_curves
    from benchmarks.lectures import COMPARISONS, read_results

    results = read_results(DOCS / "lectures.jsonl")
    table = table_of_curves(COMPARISONS, results)

    assert table in (DOCS / "lectures.md").read_text()
    assert (DOCS / "lectures.svg").is_file()
