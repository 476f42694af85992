"""Augmentation recipes by name: a picture of any size and a seed in, a training view out.

A recipe is a list of transforms of `tl.transforms`, the same that a config can name in its place.
"""

import dataclasses
import importlib.metadata
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.augment.pca_jitter import ColourPca
from tl.augment.transforms import build_transforms
from tl.errors import ConfigError, nearest
from tl.transforms import TransformSettings, transform

CUSTOM = "custom"  # what a list of transforms from the config is called
Transforms = tuple[TransformSettings, ...]


def no_recipe() -> Transforms:
    """Show the centre of every picture, as evaluation does."""
    return (transform("centre"),)


def light_recipe() -> Transforms:
    """Random resized crop and horizontal flip, geometry without colour.

    Sources: Szegedy et al. 2015, section 6, with 25 to 100 % of the area where ImageNet from
    scratch takes 8 %, too little to keep the object when fine-tuning on few pictures; Krizhevsky
    et al. 2012.
    """
    return (transform("random_resized_crop"), transform("horizontal_flip"))


def default_recipe() -> Transforms:
    """Crop and flip of `light`, jitter of colour, PCA jitter.

    Sources: as `light`; Howard 2013 for colour, of 20 % and a hue of 0.02 turns; Krizhevsky et al.
    2012 for the PCA jitter.
    """
    return (
        *light_recipe(),
        transform("brightness", change=0.2),
        transform("contrast", change=0.2),
        transform("saturation", change=0.2),
        transform("hue", turns=0.02),
        transform("pca_jitter", std=0.1),
    )


def alexnet_recipe() -> Transforms:
    """Short side at 256, random patch of 224, flip, PCA jitter of 0.1.

    Source: Krizhevsky et al. 2012, section 4.1. (There the 256 pixel centre square is cut before
    the patch; here patches may lie in all of the picture.)
    """
    return (
        transform("resnet_crop", min_short_side=256, max_short_side=256),
        transform("horizontal_flip"),
        transform("pca_jitter", std=0.1),
    )


def resnet_recipe() -> Transforms:
    """Short side drawn from [256, 480], random patch of 224, flip, PCA jitter.

    Source: He et al. 2015, section 3.4, whose "standard color augmentation" is AlexNet's.
    """
    return (
        transform("resnet_crop", min_short_side=256, max_short_side=480),
        transform("horizontal_flip"),
        transform("pca_jitter", std=0.1),
    )


def strong_recipe() -> Transforms:
    """Small crops, flip, one operation at a random strength, a rectangle painted over.

    For many epochs on enough pictures. Sources: Szegedy et al. 2015 (8 % of the area), Müller &
    Hutter 2021, Zhong et al. 2017.
    """
    return (
        transform("random_resized_crop", min_area=0.08),
        transform("horizontal_flip"),
        transform("trivial_augment"),
        transform("pca_jitter", std=0.1),
        transform("erase", p=0.25),
    )


def randaugment_recipe() -> Transforms:
    """Crops of a third and more, flip, two operations at one strength (Cubuk et al. 2020)."""
    return (
        transform("random_resized_crop"),
        transform("horizontal_flip"),
        transform("rand_augment"),
    )


def digits_recipe() -> Transforms:
    """Random resized crop and contrast without flips: a mirrored 2 is no 2, a turned 6 is a 9.

    Source: Simard et al. 2003 vary handwriting by place and shape only.
    """
    return (
        transform("random_resized_crop", min_area=0.7, min_ratio=0.85, max_ratio=1.18),
        transform("brightness", change=0.1),
        transform("contrast", change=0.2),
        transform("pca_jitter", std=0.1),
    )


# The names that `tl.config.AugmentConfig` accepts; a test holds the two together.
RECIPES: dict[str, Callable[[], Transforms]] = {
    "none": no_recipe,
    "light": light_recipe,
    "default": default_recipe,
    "alexnet": alexnet_recipe,
    "resnet": resnet_recipe,
    "strong": strong_recipe,
    "randaugment": randaugment_recipe,
    "digits": digits_recipe,
}


def find_recipe(name: str) -> Transforms:
    """Return the transforms of a recipe.

    Raises:
        ConfigError: no such recipe.
    """
    if name not in RECIPES:
        raise ConfigError(f"no recipe {name!r}; {nearest(name, RECIPES)}")
    return RECIPES[name]()


@dataclass
class Augmentation:
    """Transforms bound to a size and a dataset's colours: ``augmentation(image, seed) -> view``.

    The same picture and seed give the same view, in any thread and process. Picklable; the
    composition itself is made once a thread, because albumentations' is not thread-safe.

    Attributes:
        recipe: name in `RECIPES`, or ``custom``.
        size: (height, width) of the views.
        pca: principal components of the training pixels.
        custom: the transforms, where the recipe is ``custom``.
    """

    recipe: str
    size: tuple[int, int]
    pca: ColourPca
    custom: Transforms = ()
    _local: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.transforms()  # an unknown name is refused here, not in a thread

    def transforms(self) -> Transforms:
        """Return what is done, in order."""
        return self.custom if self.recipe == CUSTOM else find_recipe(self.recipe)

    def facts(self) -> dict[str, Any]:
        """Return all that decides a view beside the picture and the seed, as JSON can keep it."""
        versions = {
            package: importlib.metadata.version(package)
            for package in ("tl", "albumentations", "opencv-python-headless")
        }
        return {
            "transforms": list(self.transforms()),
            "size": list(self.size),
            "pca": dataclasses.asdict(self.pca),
            "versions": versions,
        }

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return a view (size[0], size[1], 3) of a picture (height, width, 3)."""
        composition = getattr(self._local, "composition", None)
        if composition is None:
            composition = build_transforms(self.transforms(), self.size, self.pca)
            self._local.composition = composition
        # One stream for all transforms. `Compose.set_random_seed` gives each the same seed, so
        # that two of probability one half always came together.
        draws, coins = np.random.default_rng(seed), random.Random(seed)
        view = image
        for one in composition:
            one.set_random_state(draws, coins)
            view = one(image=view)["image"]
        return np.ascontiguousarray(view)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "size": self.size,
            "pca": self.pca,
            "custom": self.custom,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
