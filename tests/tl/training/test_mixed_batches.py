"""Mixing depends on the step alone, keeps what weights mean, and a model learns from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import numpy as np

from tl.training.mixed_batches import mixed_batches
from tl.training.task import Task
from tl.training.tuning import train_classifier

Setup = Callable[..., dict[str, Any]]


def batch(number: int) -> Any:
    rng = np.random.default_rng(number)
    return (
        rng.integers(0, 256, (6, 8, 8, 3), np.uint8),
        rng.integers(0, 4, 6).astype(np.int32),
        np.array([1, 1, 1, 2, 0, 1], np.float32),
    )


def mixed(first: int, count: int, **changes: Any) -> list[Any]:
    source = grain.MapDataset.source([batch(n) for n in range(first, first + count)])
    options: dict[str, Any] = {"n_classes": 4, "mixup_alpha": 0.4, "cutmix_alpha": 1.0, "seed": 5}
    dataset = source.to_iter_dataset(grain.ReadOptions(num_threads=2))
    return list(mixed_batches(dataset, first_step=first, **(options | changes)))


def test_step_decides_the_mix_however_it_is_reached() -> None:
    all_of_them, later = mixed(0, 6), mixed(3, 3)

    for one, other in zip(all_of_them[3:], later, strict=True):
        for column, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(column, same)
    assert not np.array_equal(all_of_them[0][0], mixed(0, 1, seed=6)[0][0])


def test_weights_go_with_the_shares() -> None:
    for number, (_, shares, weights) in enumerate(mixed(0, 8)):
        _, labels, before = batch(number)
        assert shares.shape == (6, 4)
        np.testing.assert_allclose(shares.sum(axis=1)[weights > 0], 1, atol=1e-5)
        # Partners are a permutation and mixup's shares differ, but no class that has weight 0 only
        # gains any.
        weightless = set(range(4)) - set(labels[before > 0].tolist())
        for label in weightless:
            assert (shares[:, label] * weights).sum() == 0
        assert weights.max() <= 2


def mixed_rows(rows: Any, weights: Any, **changes: Any) -> Any:
    images = np.zeros((len(rows), 8, 8, 3), np.uint8)
    images += np.arange(0, 10 * len(rows), 10, dtype=np.uint8)[:, None, None, None]
    source = grain.MapDataset.source([(images, rows, weights)]).to_iter_dataset()
    options: dict[str, Any] = {"n_classes": 3, "mixup_alpha": 1.0, "cutmix_alpha": 0.0, "seed": 5}
    (mixed_batch,) = mixed_batches(source, **(options | changes))
    return mixed_batch


def test_rows_of_several_classes_are_mixed_as_their_pictures() -> None:
    rows = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]], np.float32)
    weights = np.array([1, 2, 1, 0], np.float32)

    for changes in ({}, {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}):
        _, shares, mass = mixed_rows(rows, weights, **changes)
        assert shares.shape == (4, 3)
        assert shares.min() >= 0
        assert shares.max() <= 1 + 1e-6
        assert ((shares > 0.01) & (shares < 0.99)).any()  # something was mixed
        assert mass.max() <= 2
    _, whole, _ = mixed_rows(rows, weights, mixup_alpha=0.0)
    np.testing.assert_array_equal(whole[:3], rows[:3])


def test_values_are_blended_by_the_shares_of_their_pictures() -> None:
    values = np.array([[0], [10], [20], [30]], np.float32)

    images, mixed_values, mass = mixed_rows(values, np.ones(4, np.float32), n_classes=1)

    # A picture's grey is its value here, so the blend of one is the blend of the other.
    np.testing.assert_allclose(mixed_values[:, 0], images.mean(axis=(1, 2, 3)), atol=0.6)
    assert not np.array_equal(mixed_values, values)
    np.testing.assert_allclose(mass, 1, atol=1e-6)


def test_fine_tuning_learns_several_labels_from_mixed_batches(
    training_setup: Setup, shapes: Path
) -> None:
    from tl.config import DataConfig
    from tl.data.prepare import prepare_data

    data = prepare_data(str(shapes), DataConfig(), seed=0, cache=None)
    setup = training_setup(
        **{"training.strategy": "last", "augment.cutmix": 1.0, "augment.mixup": 0.4,
           "training.epochs": 4, "training.learning_rate": 1e-3, "training.penalty": 1e4}
    )  # fmt: skip
    setup |= {"training": data.side("train"), "validation": data.side("val")}

    records = train_classifier(Task(**setup, problem="multi_label")).records

    losses = [one.metrics["val_loss"] for one in records]
    assert losses[0] > 0.6  # the head is held near not knowing: log 2
    assert min(losses) < 0.5
    assert all(0 <= one.metrics["val_micro_f1"] <= 1 for one in records)


def test_fine_tuning_learns_from_mixed_batches(training_setup: Setup) -> None:
    losses = []
    for cutmix in (0.0, 1.0):
        setup = training_setup(
            **{"training.strategy": "last", "augment.cutmix": cutmix, "training.epochs": 4,
               "training.learning_rate": 1e-3}
        )  # fmt: skip
        records = train_classifier(Task(**setup)).records
        tuned = [one.metrics for one in records if one.phase == "fine-tune last"]
        assert all(0 <= one["accuracy"] <= 1 for one in tuned)
        losses.append(tuned[-1]["loss"])

    # Mixed labels cannot be learned by heart: their own entropy stays.
    assert losses[1] > losses[0] + 0.03
