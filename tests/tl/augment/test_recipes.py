import os
import pickle
import subprocess
import sys
import typing
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tl.augment.pca_jitter import ColourPca
from tl.augment.recipes import RECIPES, Augmentation
from tl.config import AugmentConfig
from tl.errors import ConfigError
from tl.transforms import mirrors, transform

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
    assert len(set(views)) == (1 if recipe == "none" else 12)


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


MIRRORING = [name for name in RECIPES if mirrors(RECIPES[name]())]


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in MIRRORING])
def test_recipes_without_flips_never_mirror(recipe: str) -> None:
    assert share_of_mirrored(recipe, axis=1) == 0
    assert share_of_mirrored(recipe, axis=0) == 0


def test_digits_have_no_flips() -> None:
    assert set(MIRRORING) == set(RECIPES) - {"none", "digits"}


@pytest.mark.parametrize(
    "recipe", [name for name in MIRRORING if name not in ("strong", "randaugment")]
)
def test_other_recipes_mirror_half_of_the_pictures_sideways_only(recipe: str) -> None:
    # 300 throws of a coin: four standard deviations are 0.115.
    assert share_of_mirrored(recipe, axis=1) == pytest.approx(0.5, abs=0.115)
    assert share_of_mirrored(recipe, axis=0) == 0


@pytest.mark.parametrize(
    ("recipe", "smallest", "largest"),
    [("default", 0.25, 1), ("light", 0.25, 1), ("digits", 0.7, 1), ("strong", 0.08, 1),
     ("alexnet", (224 / 256) ** 2, (224 / 256) ** 2), ("resnet", (224 / 480) ** 2, 0.7656)],
)  # fmt: skip
def test_crop_shows_the_stated_share_of_a_square(
    recipe: str, smallest: float, largest: float
) -> None:
    # Two ramps at right angles: their ranges in the view are the sides of the crop.
    side = 200
    image = np.zeros((side, side, 3), np.uint8)
    image[:, :, 0] = np.arange(side)
    image[:, :, 1] = np.arange(side)[:, None]
    crop = Augmentation("custom", (side, side), NO_PCA, RECIPES[recipe]()[:1])
    shares = []
    for seed in range(150):
        view = crop(image, seed)
        shares.append(float(np.ptp(view[:, :, 0]) + 1) * float(np.ptp(view[:, :, 1]) + 1) / side**2)

    assert smallest - 0.03 <= min(shares) < smallest + 0.1
    assert largest - 0.15 < max(shares) < largest + 0.03


@pytest.mark.parametrize("recipe", ["none", "light"])
def test_recipes_of_geometry_leave_colours_alone(recipe: str) -> None:
    image = np.full((50, 50, 3), (10, 120, 240), np.uint8)

    assert (Augmentation(recipe, (32, 32), PCA)(image, 3) == (10, 120, 240)).all()
    assert (Augmentation("default", (32, 32), PCA)(image, 3) != (10, 120, 240)).any()


def test_no_recipe_shows_what_evaluation_sees() -> None:
    from tl.data.resize import centre_view

    smooth = cv2.GaussianBlur(picture(300, 400), (0, 0), 3)

    view = Augmentation("none", (96, 128), PCA)(smooth, 7).astype(int)

    assert np.abs(view - centre_view(smooth, (96, 128))).mean() < 1


def test_two_transforms_of_one_half_do_not_always_come_together() -> None:
    image = picture(16, 16)
    both = (transform("horizontal_flip"), transform("vertical_flip"))
    augment = Augmentation("custom", (16, 16), PCA, both)

    seen = {augment(image, seed).tobytes() for seed in range(60)}

    assert len(seen) == 4


def test_transforms_of_the_config_come_in_their_order() -> None:
    image = picture(16, 16)
    grey, noise = transform("grayscale", p=1), transform("gaussian_noise", p=1, std=60)

    def views(*transforms: Any) -> list[NDArray[np.uint8]]:
        augment = Augmentation("custom", (16, 16), PCA, transforms)
        return [augment(image, seed) for seed in range(8)]

    # Noise after grey is coloured, noise before it is not.
    assert all(np.ptp(view, axis=2).max() == 0 for view in views(noise, grey))
    assert any(np.ptp(view, axis=2).max() > 0 for view in views(grey, noise))


def test_unknown_recipe_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no recipe 'defualt'; did you mean 'default'"):
        Augmentation("defualt", (32, 32), PCA)


def test_every_recipe_says_where_it_comes_from() -> None:
    for name, recipe in RECIPES.items():
        assert name == "none" or "20" in (recipe.__doc__ or ""), f"{name} has no year"


def test_albumentations_is_kept_from_asking_the_network() -> None:
    code = "import os, tl.augment.recipes; print(os.environ['NO_ALBUMENTATIONS_UPDATE'])"
    environ = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "1"
