import os
import pickle
import subprocess
import sys
import typing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from tl.augment.pca_jitter import ColourPca
from tl.augment.recipes import RECIPES, Augmentation
from tl.config import AugmentConfig

PCA = ColourPca((0.1, 0.01, 0.001), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))
NO_PCA = ColourPca((0.0, 0.0, 0.0), PCA.eigenvectors)


def picture(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)


def test_config_names_exactly_the_recipes_and_auto() -> None:
    names = typing.get_args(typing.get_type_hints(AugmentConfig)["recipe"])

    assert set(names) == {"auto", *RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
def test_same_seed_gives_the_same_view_and_another_seed_another(recipe: str) -> None:
    augment = Augmentation(recipe, (32, 32), PCA)

    views = [augment(picture(), seed).tobytes() for seed in range(12)]

    assert [augment(picture(), seed).tobytes() for seed in reversed(range(12))] == views[::-1]
    assert [Augmentation(recipe, (32, 32), PCA)(picture(), s).tobytes() for s in range(12)] == views
    assert len(set(views)) == 12


@pytest.mark.parametrize("recipe", RECIPES)
def test_eight_threads_give_the_views_of_one(recipe: str) -> None:
    augment = Augmentation(recipe, (24, 24), PCA)
    seeds = list(range(200))
    expected = [augment(picture(), seed).tobytes() for seed in seeds]

    with ThreadPoolExecutor(8) as pool:
        views = list(pool.map(lambda seed: augment(picture(), seed).tobytes(), seeds))

    assert views == expected


@pytest.mark.parametrize("recipe", RECIPES)
def test_pickled_augmentation_gives_the_same_views(recipe: str) -> None:
    augment = Augmentation(recipe, (32, 40), PCA)
    augment(picture(), 0)  # the composition of this thread exists

    copy = pickle.loads(pickle.dumps(augment))

    assert copy == augment
    np.testing.assert_array_equal(copy(picture(), 5), augment(picture(), 5))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "shape", [(1, 1), (8, 8), (1, 300), (300, 1), (40, 400), (224, 224)], ids=str
)
def test_pictures_of_any_size_give_views_of_one_size(recipe: str, shape: tuple[int, int]) -> None:
    augment = Augmentation(recipe, (48, 32), PCA)

    for seed in range(10):
        view = augment(picture(*shape), seed)
        assert view.shape == (48, 32, 3)
        assert view.dtype == np.uint8


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_picture_itself_is_not_changed(recipe: str) -> None:
    image = picture()
    for seed in range(5):
        Augmentation(recipe, (32, 32), PCA)(image, seed)

    np.testing.assert_array_equal(image, picture())


def share_of_mirrored(recipe: str, axis: int, count: int = 300) -> float:
    """How often a ramp along an axis comes out falling."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.repeat(np.tile(ramp, (64, 1))[:, :, None], 3, axis=2)
    image = image if axis == 1 else image.transpose(1, 0, 2).copy()
    augment = Augmentation(recipe, (32, 32), NO_PCA)
    falling = 0
    for seed in range(count):
        along = augment(image, seed).astype(float).mean(axis=(1 - axis, 2))
        falling += bool(along[-1] < along[0])
    return falling / count


def test_digits_are_never_mirrored_nor_turned() -> None:
    assert share_of_mirrored("digits", axis=1) == 0
    assert share_of_mirrored("digits", axis=0) == 0


@pytest.mark.parametrize("recipe", ["default", "plain"])
def test_other_recipes_mirror_half_of_the_pictures_sideways_only(recipe: str) -> None:
    # 300 throws of a coin: four standard deviations are 0.115.
    assert share_of_mirrored(recipe, axis=1) == pytest.approx(0.5, abs=0.115)
    assert share_of_mirrored(recipe, axis=0) == 0


@pytest.mark.parametrize(
    ("recipe", "smallest"), [("default", 0.25), ("plain", 0.25), ("digits", 0.7)]
)
def test_crop_shows_no_less_than_the_stated_share(recipe: str, smallest: float) -> None:
    # Two ramps at right angles: their ranges in the view are the sides of the crop.
    side = 200
    image = np.zeros((side, side, 3), np.uint8)
    image[:, :, 0] = np.arange(side)
    image[:, :, 1] = np.arange(side)[:, None]
    crop = Augmentation(recipe, (side, side), NO_PCA)
    shares = []
    for seed in range(150):
        view = crop_only(crop, image, seed)
        shares.append(float(np.ptp(view[:, :, 0]) + 1) * float(np.ptp(view[:, :, 1]) + 1) / side**2)

    assert smallest - 0.03 <= min(shares) < smallest + 0.1
    assert max(shares) > 0.85


def crop_only(augment: Augmentation, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    crop = RECIPES[augment.recipe](augment.size, augment.pca)[0]
    crop.set_random_seed(seed)
    return np.asarray(crop(image=image)["image"])


def test_plain_recipe_leaves_colours_alone() -> None:
    image = np.full((50, 50, 3), (10, 120, 240), np.uint8)

    assert (Augmentation("plain", (32, 32), PCA)(image, 3) == (10, 120, 240)).all()
    assert (Augmentation("default", (32, 32), PCA)(image, 3) != (10, 120, 240)).any()


def test_albumentations_is_kept_from_asking_the_network() -> None:
    code = "import os, tl.augment.recipes; print(os.environ['NO_ALBUMENTATIONS_UPDATE'])"
    environ = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "1"
