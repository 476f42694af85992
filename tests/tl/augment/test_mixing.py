"""Mixed batches keep shape and mass of labels, follow the formulas, and repeat with their seed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tl.augment.mixing import cutmix, mix_batch, mixup, one_hot

Mix = Callable[..., tuple[NDArray[np.uint8], NDArray[np.float32]]]
BOTH = pytest.mark.parametrize("mix", [mixup, cutmix])


def flat_batch(count: int = 8) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures of one value each: 0, 30, 60, ...; each its own class."""
    values = np.arange(count, dtype=np.uint8) * 30
    images = np.broadcast_to(values[:, None, None, None], (count, 20, 30, 3)).copy()
    return images, one_hot(np.arange(count), count)


@BOTH
def test_shape_type_and_mass_of_labels_stay(mix: Mix) -> None:
    images, labels = flat_batch()

    mixed, soft = mix(images, labels, alpha=1.0, seed=0)

    assert mixed.shape == images.shape
    assert mixed.dtype == np.uint8
    assert soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert (soft >= 0).all()
    np.testing.assert_array_equal(images, flat_batch()[0])


@BOTH
def test_same_seed_gives_the_same_mix_and_another_seed_another(mix: Mix) -> None:
    images, labels = flat_batch()

    first = mix(images, labels, alpha=1.0, seed=(3, 7))
    again = mix(images, labels, alpha=1.0, seed=(3, 7))
    other = mix(images, labels, alpha=1.0, seed=(3, 8))

    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@BOTH
def test_parameter_0_mixes_nothing(mix: Mix) -> None:
    images, labels = flat_batch()

    mixed, soft = mix(images, labels, alpha=0, seed=1)

    np.testing.assert_array_equal(mixed, images)
    np.testing.assert_array_equal(soft, labels)


def test_mixup_blends_picture_and_label_by_one_share() -> None:
    images, labels = flat_batch()

    mixed, soft = mixup(images, labels, alpha=1.0, seed=2)

    # A class's value times its share of the label is the value of the blend.
    expected = soft @ (np.arange(8) * 30)
    for picture, value in zip(mixed, expected, strict=True):
        assert np.ptp(picture) == 0
        assert float(picture[0, 0, 0]) == pytest.approx(value, abs=0.51)
    assert (soft.max(axis=1) < 0.999).sum() > 3


def test_cutmix_pastes_one_rectangle_and_counts_its_area() -> None:
    images, labels = flat_batch()
    seen = 0
    for seed in range(20):
        mixed, soft = cutmix(images, labels, alpha=1.0, seed=seed)
        for row in range(8):
            changed = (mixed[row] != images[row]).any(axis=2)
            assert soft[row, row] == pytest.approx(1 - changed.mean(), abs=1e-6)
            if changed.any():
                seen += 1
                rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
                assert changed.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
                assert len(np.unique(mixed[row][changed])) == 1
    assert seen > 100


def test_small_parameters_leave_most_pictures_nearly_alone() -> None:
    images, labels = flat_batch(100 % 8 + 4)
    shares = []
    for seed in range(100):
        _, soft = mixup(images, labels, alpha=0.1, seed=seed)
        shares += list(soft.max(axis=1))

    assert np.median(shares) > 0.95
    assert min(shares) < 0.7


def test_both_parameters_take_either_for_a_whole_batch() -> None:
    images, labels = flat_batch()
    options: dict[str, Any] = {"mixup_alpha": 1.0, "cutmix_alpha": 1.0}
    # A blend of mixup is flat, a cut is not.
    blended = [
        all(np.ptp(p) == 0 for p in mix_batch(images, labels, seed=(0, step), **options)[0])
        for step in range(60)
    ]

    assert 15 < sum(blended) < 45


def test_one_parameter_takes_its_own() -> None:
    images, labels = flat_batch()
    for step in range(10):
        blend, _ = mix_batch(images, labels, seed=step, mixup_alpha=1.0, cutmix_alpha=0)
        assert all(np.ptp(picture) == 0 for picture in blend)
    cut = [
        mix_batch(images, labels, seed=step, mixup_alpha=0, cutmix_alpha=1.0)[0]
        for step in range(5)
    ]
    assert all(any(np.ptp(picture) > 0 for picture in batch) for batch in cut)
