"""Features are of the picture they stand beside, and are computed once for the same content."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tl.augment.pca_jitter import ColourPca
from tl.augment.recipes import Augmentation
from tl.data.example import Dataset
from tl.data.resize import centre_view
from tl.features import FeatureExtractor, augmented_view, joined, mirrored_view, plain_view
from tl.zoo.stages import stage_outputs

SIZE = (32, 32)
FACTS = {"backbone": "tl_small", "weights": "tl"}


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    from tl.zoo.backbones import find_backbone
    from tl.zoo.build import build_backbone
    from tl.zoo.weights import resolve_weights

    keras.config.set_dtype_policy("float32")
    row = find_backbone("tl_small")
    return build_backbone(row, SIZE, resolve_weights(row, "tl"))


@pytest.fixture(scope="module")
def dataset(pictures: Path) -> Dataset:
    from tl.config import DataConfig
    from tl.data.prepare import read_pictures

    return read_pictures(str(pictures), DataConfig(), cache=None).examples


@pytest.fixture(scope="module")
def augmentation() -> Augmentation:
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    return Augmentation("default", SIZE, ColourPca((0.1, 0.05, 0.01), axes))


def test_last_stage_is_the_backbone_and_the_others_are_averages(
    backbone: keras.Model, dataset: Dataset
) -> None:
    from tl.data.decode import NO_LIMIT, decode_picture

    images = np.stack([centre_view(decode_picture(one.read(), NO_LIMIT), SIZE) for one in dataset])
    maps = keras.Model(backbone.input, list(stage_outputs(backbone)))(images.astype(np.float32))

    table = FeatureExtractor(backbone).extract(dataset, plain_view(SIZE))

    assert len(table) == len(dataset) == 36
    assert table.targets.tolist() == dataset.labels.tolist()
    expected = np.asarray(backbone(images.astype(np.float32)))
    np.testing.assert_allclose(table.of_stages([-1]), expected, atol=1e-4)
    assert len(table.widths) == len(maps)
    for number, one in enumerate(maps[:-1]):
        average = np.asarray(one).mean(axis=(1, 2))
        np.testing.assert_allclose(table.of_stages([number]), average, atol=1e-4)
    both = table.of_stages([0, len(maps) - 1])
    assert both.shape == (36, table.widths[0] + table.widths[-1])
    assert np.array_equal(both[:, table.widths[0] :], table.of_stages([-1]))


@pytest.mark.parametrize("stages", [(1,), (0, 2), (2, 0)])
def test_some_stages_are_those_of_the_whole_table(
    stages: tuple[int, ...], backbone: keras.Model, dataset: Dataset, tmp_path: Path
) -> None:
    names, view = list(dataset.identities), plain_view(SIZE)  # type: ignore[arg-type]
    extractor = FeatureExtractor(backbone, FACTS, tmp_path)
    few = dataset.take(np.arange(30))
    extractor.extract(few, view, identities=names[:30])  # the rest is computed and not read
    whole = extractor.extract(dataset, view, identities=names)

    some = extractor.extract(dataset, view, identities=names, stages=stages)

    assert some.stages == tuple(sorted(stages))
    assert some.features.shape == (36, sum(whole.widths[one] for one in stages))
    assert np.array_equal(some.of_stages(stages), whole.of_stages(stages))
    assert np.array_equal(some.take([5, 3]).of_stages(stages), whole.of_stages(stages)[[5, 3]])


@pytest.mark.parametrize("kind", ["plain", "mirrored", "augmented"])
def test_second_run_computes_nothing_and_sees_the_same_bits(
    kind: str, backbone: keras.Model, dataset: Dataset, augmentation: Augmentation, tmp_path: Path
) -> None:
    views = {
        "plain": plain_view(SIZE),
        "mirrored": mirrored_view(SIZE),
        "augmented": augmented_view(augmentation, augmentation.facts(), seed=0),
    }
    tables = []
    for folder in (tmp_path, tmp_path, None):
        extractor = FeatureExtractor(backbone, FACTS, folder)
        tables.append(
            extractor.extract(dataset, views[kind], identities=list(dataset.identities))  # type: ignore[arg-type]
        )

    first, second, unstored = tables
    assert (first.stored, second.stored, unstored.stored) == (0, 36, 0)
    assert np.array_equal(first.features, second.features)
    assert np.array_equal(first.features, unstored.features)


def test_new_pictures_only_are_computed_and_old_rows_keep_their_bits(
    backbone: keras.Model, dataset: Dataset, tmp_path: Path
) -> None:
    def extract(some: Dataset) -> Any:
        extractor = FeatureExtractor(backbone, FACTS, tmp_path)
        assert some.identities is not None
        return extractor.extract(some, plain_view(SIZE), identities=some.identities.tolist())

    few = extract(dataset[:7])
    mixed = dataset.take(np.random.default_rng(0).permutation(36))
    many = extract(mixed)

    assert (few.stored, many.stored) == (0, 7)
    places = {key: place for place, key in enumerate(mixed.keys)}
    rows = [places[key] for key in dataset.keys[:7]]
    assert np.array_equal(many.features[rows], few.features)
    whole = FeatureExtractor(backbone).extract(mixed, plain_view(SIZE))
    assert np.array_equal(many.features, whole.features)


def test_other_views_weights_and_seeds_are_other_features(
    backbone: keras.Model, dataset: Dataset, augmentation: Augmentation, tmp_path: Path
) -> None:
    names = list(dataset.identities)  # type: ignore[arg-type]

    def extract(seed: int = 0, number: int = 0, facts: dict[str, str] | None = None) -> Any:
        view = augmented_view(augmentation, augmentation.facts(), seed)
        extractor = FeatureExtractor(backbone, facts or FACTS, tmp_path)
        return extractor.extract(dataset, view, numbers=[number] * len(dataset), identities=names)

    first = extract()
    for other in (extract(seed=1), extract(number=1)):
        assert other.stored == 0
        assert not np.allclose(other.features, first.features, atol=1e-2)
    assert extract(facts={**FACTS, "weights": "others"}).stored == 0


def test_views_are_of_the_picture_wherever_it_stands(
    backbone: keras.Model, dataset: Dataset, augmentation: Augmentation
) -> None:
    view = augmented_view(augmentation, augmentation.facts(), seed=3)
    names = list(dataset.identities)  # type: ignore[arg-type]
    extractor = FeatureExtractor(backbone)

    forward = extractor.extract(dataset, view, identities=names)
    backward = extractor.extract(dataset.take(np.arange(36)[::-1]), view, identities=names[::-1])

    assert np.array_equal(forward.features, backward.features[::-1])


def test_unreadable_picture_has_weight_0_and_is_not_stored(
    backbone: keras.Model, make_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    from tl.config import DataConfig
    from tl.data.prepare import read_pictures

    folder = make_pictures(tmp_path / "pictures", {"a": 3, "b": 3})
    dataset = read_pictures(str(folder), DataConfig(), cache=None).examples
    good = (folder / "a" / "01.jpg").read_bytes()
    (folder / "a" / "01.jpg").write_bytes(b"gone")
    names = list(dataset.identities)  # type: ignore[arg-type]

    def extract() -> Any:
        extractor = FeatureExtractor(backbone, FACTS, tmp_path / "store")
        return extractor.extract(dataset, plain_view(SIZE), identities=names)

    broken = extract()
    assert broken.weights.tolist() == [1, 0, 1, 1, 1, 1]
    (folder / "a" / "01.jpg").write_bytes(good)
    mended = extract()
    assert mended.stored == 5
    assert mended.weights.tolist() == [1] * 6
    assert not np.array_equal(mended.features[1], mended.features[2])


def test_progress_counts_every_row_once(
    backbone: keras.Model, dataset: Dataset, tmp_path: Path
) -> None:
    names = list(dataset.identities)  # type: ignore[arg-type]
    for _ in range(2):
        seen: list[int] = []
        FeatureExtractor(backbone, FACTS, tmp_path).extract(
            dataset, plain_view(SIZE), identities=names, on_batch=seen.append
        )
        assert sum(seen) == 36


def test_joined_tables_keep_their_order(backbone: keras.Model, dataset: Dataset) -> None:
    table = FeatureExtractor(backbone).extract(dataset, plain_view(SIZE))

    both = joined([table.take([3, 4]), table.take([0])])

    assert np.array_equal(both.features, table.features[[3, 4, 0]])
    assert both.targets.tolist() == table.targets[[3, 4, 0]].tolist()
    assert len(both) == 3


def test_half_precision_is_the_same_in_the_first_run_and_the_next(
    backbone: keras.Model, dataset: Dataset, tmp_path: Path
) -> None:
    names = list(dataset.identities)  # type: ignore[arg-type]
    whole = FeatureExtractor(backbone).extract(dataset, plain_view(SIZE))

    first, second = (
        FeatureExtractor(backbone, FACTS, tmp_path, "float16").extract(
            dataset, plain_view(SIZE), identities=names
        )
        for _ in range(2)
    )

    assert (first.stored, second.stored) == (0, 36)
    assert np.array_equal(first.features, second.features)
    assert not np.array_equal(first.features, whole.features)
    np.testing.assert_allclose(first.features, whole.features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (48, 80)])
def test_features_are_the_means_that_the_head_will_read(size: tuple[int, int]) -> None:
    import keras

    from tl.classifier import stage_features
    from tl.features import FeatureExtractor
    from tl.zoo.backbones import find_backbone
    from tl.zoo.build import build_backbone

    backbone = build_backbone(find_backbone("tl_small"), size, None)
    images = np.random.default_rng(0).integers(0, 256, (3, *size, 3)).astype(np.uint8)
    expected = keras.Model(backbone.input, list(stage_features(backbone))).predict(
        images.astype(np.float32), verbose=0
    )

    found = FeatureExtractor(backbone)._run(images)

    scale = np.abs(np.concatenate(expected, axis=1)).max()
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-5 * scale)
