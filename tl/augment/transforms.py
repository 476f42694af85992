"""From the settings of `tl.transforms` to albumentations: one function for every row.

Receives complete, checked settings, gives a list for ``A.Compose``. Neighbouring changes of colour
become one matrix, and so do neighbouring changes of place with the same border.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import albumentations as A

from tl.augment.colour_matrix import ColourJitter, colour_step
from tl.augment.damage import Blur, Erase, LensDistortion
from tl.augment.geometry_matrix import Warp, geometry_step
from tl.augment.pca_jitter import ColourPca
from tl.augment.policies import RandAugment, TrivialAugment
from tl.augment.views import Centre, RandomResizedCrop, ResNetCrop
from tl.transforms import VIEWS, TransformSettings, transform

COLOURS = ("brightness", "contrast", "saturation", "hue", "pca_jitter", "grayscale")
PLACES = ("translate", "rotate", "scale", "stretch", "shear", "perspective")


def build_transforms(
    transforms: Sequence[TransformSettings], size: tuple[int, int], pca: ColourPca
) -> list[Any]:
    """Return the albumentations transforms; the centre view comes first where no crop is named.

    Args:
        transforms: complete settings, in their order.
        size: (height, width) of the views.
        pca: principal components of the training pixels.
    """
    if not any(one["name"] in VIEWS for one in transforms):
        transforms = [transform("centre"), *transforms]
    built: list[Any] = []
    for kind, neighbours in groupby(transforms, _kind):
        settings = list(neighbours)
        if kind == "colour":
            built.append(ColourJitter([colour_step(str(s["name"]), s, pca) for s in settings]))
        elif kind.startswith("place"):
            steps = [geometry_step(str(s["name"]), s) for s in settings]
            built.append(Warp(steps, str(settings[0]["border"])))
        else:
            built += [BUILDERS[kind](s, size) for s in settings]
    return built


def _kind(settings: TransformSettings) -> str:
    """Name the group in which neighbours become one step."""
    name = str(settings["name"])
    if name in COLOURS:
        return "colour"
    return f"place {settings['border']}" if name in PLACES else name


def _random_resized_crop(settings: Any, size: tuple[int, int]) -> Any:
    area = (settings["min_area"], settings["max_area"])
    return RandomResizedCrop(size, area, (settings["min_ratio"], settings["max_ratio"]))


def _lens_distortion(settings: Any, size: tuple[int, int]) -> Any:
    return LensDistortion(strength=settings["strength"], border=settings["border"], p=settings["p"])


def _salt_and_pepper(settings: Any, size: tuple[int, int]) -> Any:
    return A.SaltAndPepper(
        amount=(0, settings["amount"]), salt_vs_pepper=(0.5, 0.5), p=settings["p"]
    )


def _jpeg(settings: Any, size: tuple[int, int]) -> Any:
    quality = (settings["min_quality"], settings["max_quality"])
    return A.ImageCompression(quality_range=quality, p=settings["p"])


def _erase(settings: Any, size: tuple[int, int]) -> Any:
    area = (settings["min_area"], settings["max_area"])
    return Erase(area=area, noise=settings["fill"] == "noise", p=settings["p"])


BUILDERS: dict[str, Callable[[Any, tuple[int, int]], Any]] = {
    "centre": lambda s, size: Centre(size),
    "random_resized_crop": _random_resized_crop,
    "resnet_crop": lambda s, size: ResNetCrop(size, (s["min_short_side"], s["max_short_side"])),
    "horizontal_flip": lambda s, size: A.HorizontalFlip(p=s["p"]),
    "vertical_flip": lambda s, size: A.VerticalFlip(p=s["p"]),
    "lens_distortion": _lens_distortion,
    "salt_and_pepper": _salt_and_pepper,
    "gaussian_noise": lambda s, size: A.GaussNoise(std_range=(0, s["std"] / 255), p=s["p"]),
    "blur": lambda s, size: Blur(sigma=s["sigma"], p=s["p"]),
    "jpeg": _jpeg,
    "erase": _erase,
    "rand_augment": lambda s, size: RandAugment(
        operations=s["operations"], magnitude=s["magnitude"], p=s["p"]
    ),
    "trivial_augment": lambda s, size: TrivialAugment(
        max_magnitude=s["max_magnitude"], p=s["p"]
    ),
}  # fmt: skip
