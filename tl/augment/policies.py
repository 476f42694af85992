"""RandAugment and TrivialAugment: operations of one list, at one strength or at a random one.

Both papers draw from the same fourteen operations of AutoAugment (Cubuk et al. 2019); none of them
mirrors. Strengths run from 0 to 30. Places beside the picture become grey: a reflection would show
half of the picture mirrored at the largest translation.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.colour_matrix import brightness_matrix, contrast_matrix, saturation_matrix
from tl.augment.geometry_matrix import warp
from tl.augment.image_transform import ImageTransform

LARGEST = 30
Image = NDArray[np.uint8]
# An operation gets the picture and its strength from -1 to 1; where a sign means nothing it
# takes the absolute value.
Operation = Callable[[Image, float], Image]


def _identity(image: Image, strength: float) -> Image:
    return image


def _auto_contrast(image: Image, strength: float) -> Image:
    """Stretch every channel to the whole range."""
    low = image.min(axis=(0, 1)).astype(np.float32)
    high = image.max(axis=(0, 1)).astype(np.float32)
    factor = np.where(high > low, 255 / np.maximum(high - low, 1), 1)
    offset = np.where(high > low, -low * factor, 0)
    return _transform(image, np.column_stack([np.diag(factor), offset]))


def _equalize(image: Image, strength: float) -> Image:
    """Even out the histogram of every channel."""
    planes = [cv2.equalizeHist(np.ascontiguousarray(image[:, :, n])) for n in range(3)]
    return np.asarray(cv2.merge(planes), np.uint8)


def _solarize(image: Image, strength: float) -> Image:
    """Invert what is at or above a threshold, which falls from 256 to 0."""
    threshold = 256 * (1 - abs(strength))
    return np.where(image >= threshold, 255 - image, image)


def _posterize(image: Image, strength: float) -> Image:
    """Keep 8 to 4 bits of every value."""
    dropped = round(4 * abs(strength))
    return image & np.uint8(256 - 2**dropped)


def _colour(image: Image, strength: float) -> Image:
    return _transform(image, saturation_matrix(1 + 0.9 * strength))


def _brightness(image: Image, strength: float) -> Image:
    return _transform(image, brightness_matrix(1 + 0.9 * strength))


def _contrast(image: Image, strength: float) -> Image:
    mean = float(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
    return _transform(image, contrast_matrix(1 + 0.9 * strength, mean))


def _sharpness(image: Image, strength: float) -> Image:
    """Blend with a smoothed picture, or away from it."""
    smooth = cv2.filter2D(image, -1, _SMOOTH)
    factor = 1 + 0.9 * strength
    return np.asarray(cv2.addWeighted(image, factor, smooth, 1 - factor, 0), np.uint8)


def _rotate(image: Image, strength: float) -> Image:
    angle = np.deg2rad(30 * strength)
    cos, sin = np.cos(angle), np.sin(angle)
    return _warp(image, [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _shear_x(image: Image, strength: float) -> Image:
    return _warp(image, [[1, 0.3 * strength, 0], [0, 1, 0], [0, 0, 1]])


def _shear_y(image: Image, strength: float) -> Image:
    return _warp(image, [[1, 0, 0], [0.3 * strength, 1, 0], [0, 0, 1]])


def _translate_x(image: Image, strength: float) -> Image:
    aspect = image.shape[1] / image.shape[0]
    return _warp(image, [[1, 0, 0.9 * strength * aspect], [0, 1, 0], [0, 0, 1]])


def _translate_y(image: Image, strength: float) -> Image:
    return _warp(image, [[1, 0, 0], [0, 1, 0.9 * strength], [0, 0, 1]])


OPERATIONS: dict[str, Operation] = {
    "identity": _identity,
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "rotate": _rotate,
    "solarize": _solarize,
    "posterize": _posterize,
    "colour": _colour,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}

_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def _transform(image: Image, matrix: NDArray[np.float64]) -> Image:
    return np.asarray(cv2.transform(image, matrix), np.uint8)


def _warp(image: Image, matrix: list[list[float]]) -> Image:
    return warp(image, np.array(matrix, np.float64), "grey")


class _Policy(ImageTransform):
    """Apply operations that were drawn before: (name, strength from -1 to 1) each."""

    def apply(self, img: Image, drawn: Any = (), **params: Any) -> Image:
        """Apply them one after the other."""
        for name, strength in drawn:
            img = OPERATIONS[name](img, strength)
        return np.ascontiguousarray(img)

    def _draw(self, magnitude: int) -> tuple[str, float]:
        rng = self.random_generator
        name = list(OPERATIONS)[rng.integers(len(OPERATIONS))]
        return name, magnitude / LARGEST * (1 if rng.random() < 0.5 else -1)


class RandAugment(_Policy):
    """Apply some operations of the list, drawn anew for each picture, at one strength.

    Args:
        operations: how many, one after the other.
        magnitude: strength, 0 to 30.
        p: probability.

    Source: Cubuk et al. 2020, RandAugment.
    """

    def __init__(self, *, operations: int, magnitude: int, p: float) -> None:
        super().__init__(p=p)
        self.operations = operations
        self.magnitude = magnitude

    def get_params(self) -> dict[str, Any]:
        """Draw the operations."""
        return {"drawn": [self._draw(self.magnitude) for _ in range(self.operations)]}

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("operations", "magnitude")


class TrivialAugment(_Policy):
    """Apply one operation of the list at a strength drawn evenly.

    Args:
        max_magnitude: largest strength, 0 to 30.
        p: probability.

    Source: Müller & Hutter 2021, TrivialAugment.
    """

    def __init__(self, *, max_magnitude: int, p: float) -> None:
        super().__init__(p=p)
        self.max_magnitude = max_magnitude

    def get_params(self) -> dict[str, Any]:
        """Draw operation and strength."""
        return {"drawn": [self._draw(int(self.random_generator.integers(self.max_magnitude + 1)))]}

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("max_magnitude",)
