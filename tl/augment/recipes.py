"""Augmentation recipes by name: a picture of any size and a seed in, a training view out.

Every recipe is an albumentations composition, so that it prints, stores and compares as one.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.augment.pca_jitter import ColourPca

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network at import otherwise
import albumentations as A
import cv2

from tl.augment.colour_matrix import ColourJitter


def default_recipe(size: tuple[int, int], pca: ColourPca) -> list[Any]:
    """Horizontal flip, random resized crop, colour jitter, PCA jitter.

    Sources: crop of 25 to 100 % of the area, He et al. 2015 and Szegedy et al. 2015 use 8 % for
    ImageNet from scratch, too little to keep the object when fine-tuning on few pictures; jitter
    of 20 %, hue of 0.02 turns; PCA as Krizhevsky et al. 2012.
    """
    return [
        _crop(size, scale=(0.25, 1.0)),
        A.HorizontalFlip(p=0.5),
        ColourJitter(
            brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02, pca=pca, pca_std=0.1, p=1.0
        ),
    ]


def digits_recipe(size: tuple[int, int], pca: ColourPca) -> list[Any]:
    """Random resized crop and contrast without flips: a mirrored 2 is no 2, a turned 6 is a 9."""
    return [
        _crop(size, scale=(0.7, 1.0), ratio=(0.85, 1.18)),
        ColourJitter(
            brightness=0.1, contrast=0.2, saturation=0.0, hue=0.0, pca=pca, pca_std=0.1, p=1.0
        ),
    ]


def plain_recipe(size: tuple[int, int], pca: ColourPca) -> list[Any]:
    """Random resized crop and flip only, geometry without colour."""
    del pca
    return [_crop(size, scale=(0.25, 1.0)), A.HorizontalFlip(p=0.5)]


# The names that `tl.config.AugmentConfig` accepts; a test holds the two together.
RECIPES: dict[str, Callable[[tuple[int, int], ColourPca], list[Any]]] = {
    "default": default_recipe,
    "digits": digits_recipe,
    "plain": plain_recipe,
}


def _crop(
    size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float] = (3 / 4, 4 / 3)
) -> Any:
    # Area interpolation when shrinking: bilinear without a wider filter aliases, and evaluation
    # (tl.data.resize) does not.
    return A.RandomResizedCrop(
        size=size,
        scale=scale,
        ratio=ratio,
        interpolation=cv2.INTER_LINEAR,
        area_for_downscale="image",
        p=1.0,
    )


@dataclass
class Augmentation:
    """A recipe bound to a size and a dataset's colours: ``augmentation(image, seed) -> view``.

    The same picture and seed give the same view, in any thread and process. Picklable; the
    composition itself is made once a thread, because albumentations' is not thread-safe.
    """

    recipe: str
    size: tuple[int, int]
    pca: ColourPca
    _local: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return a view (size[0], size[1], 3) of a picture (height, width, 3)."""
        compose = getattr(self._local, "compose", None)
        if compose is None:
            compose = A.Compose(RECIPES[self.recipe](self.size, self.pca))
            self._local.compose = compose
        compose.set_random_seed(seed)
        view: NDArray[np.uint8] = compose(image=image)["image"]
        return view

    def __getstate__(self) -> dict[str, Any]:
        return {"recipe": self.recipe, "size": self.size, "pca": self.pca}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
