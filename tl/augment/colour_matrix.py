"""All changes of colour of one draw as one 3 x 4 matrix a picture.

Brightness, contrast, saturation, hue, grey and the PCA offset are all affine in RGB, so their
product is one matrix: ``cv2.transform`` applies it in 0.07 ms to a 224 px picture, where
albumentations' ColorJitter alone takes 0.41 ms. Rounding and clipping happen once, at the end.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.image_transform import ImageTransform
from tl.augment.pca_jitter import ColourPca

# Rec. 601 luma, the weights of the grey picture that contrast and saturation mix with.
LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
_NOTHING = np.eye(3, 4)


Matrix = NDArray[np.float64]


def brightness_matrix(factor: float) -> Matrix:
    """Multiply everything; 1 changes nothing. Acts, as all here, on (r, g, b, 1), 0 to 255."""
    return factor * np.eye(3, 4)


def contrast_matrix(factor: float, mean_luma: float) -> Matrix:
    """Multiply the distance to the picture's mean grey; 1 changes nothing."""
    matrix = factor * np.eye(3, 4)
    matrix[:, 3] = (1 - factor) * mean_luma
    return matrix


def saturation_matrix(factor: float) -> Matrix:
    """Multiply the distance to the pixel's own grey; 1 changes nothing, 0 leaves grey."""
    matrix = factor * np.eye(3, 4)
    matrix[:, :3] += (1 - factor) * LUMA
    return matrix


def hue_matrix(turns: float) -> Matrix:
    """Turn the colours about the grey axis, in the IQ plane of YIQ."""
    angle = 2 * math.pi * turns
    return _TURN_LUMA + math.cos(angle) * _TURN_COS + math.sin(angle) * _TURN_SIN


def offset_matrix(offset: NDArray[np.float64]) -> Matrix:
    """Add (3,) to every pixel."""
    return np.hstack([np.eye(3), offset[:, None]])


# (3, 4) each: what of a turn does not depend on the angle, and what goes with cosine and sine.
_TURN_LUMA, _TURN_COS, _TURN_SIN = (
    np.hstack([_FROM_YIQ @ np.array(part) @ _TO_YIQ, np.zeros((3, 1))])
    for part in (
        [[1, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 0], [0, 0, -1], [0, 1, 0]],
    )
)

# A step draws, and changes the product (3, 4) so far; the third is the picture's mean (r, g, b, 1).
Change = Callable[[np.random.Generator, Matrix, NDArray[np.float64]], Matrix]


@dataclass(frozen=True, slots=True)
class ColourStep:
    """One random change of colour.

    Attributes:
        change: of the product so far.
        p: probability.
        needs_mean: whether it asks for the picture's mean.
    """

    change: Change
    p: float
    needs_mean: bool = False


def colour_step(name: str, settings: Any, pca: ColourPca) -> ColourStep:
    """Return the step of one row of `tl.transforms`."""
    return ColourStep(_CHANGES[name](settings, pca), settings["p"], name == "contrast")


# Each is its matrix times the product, written out: numpy's overhead on small matrices, not the
# arithmetic, is what a picture pays for.
def _brightness(settings: Any, pca: ColourPca) -> Change:
    change = settings["change"]
    return lambda rng, product, mean: product * _factor(rng, change)


def _contrast(settings: Any, pca: ColourPca) -> Change:
    change = settings["change"]

    def apply(rng: np.random.Generator, product: Matrix, mean: NDArray[np.float64]) -> Matrix:
        factor = _factor(rng, change)
        grey = LUMA @ (product @ mean)
        product = product * factor
        product[:, 3] += (1 - factor) * grey
        return product

    return apply


def _saturation(settings: Any, pca: ColourPca) -> Change:
    change = settings["change"]

    def apply(rng: np.random.Generator, product: Matrix, mean: NDArray[np.float64]) -> Matrix:
        factor = _factor(rng, change)
        return product * factor + (1 - factor) * (LUMA @ product)

    return apply


def _grayscale(settings: Any, pca: ColourPca) -> Change:
    return lambda rng, product, mean: np.tile(LUMA @ product, (3, 1))


def _hue(settings: Any, pca: ColourPca) -> Change:
    turns = settings["turns"]

    def apply(rng: np.random.Generator, product: Matrix, mean: NDArray[np.float64]) -> Matrix:
        turned: Matrix = hue_matrix(turns * (2 * rng.random() - 1))[:, :3] @ product
        return turned

    return apply


def _pca_jitter(settings: Any, pca: ColourPca) -> Change:
    std = settings["std"]

    def apply(rng: np.random.Generator, product: Matrix, mean: NDArray[np.float64]) -> Matrix:
        product = product.copy()
        product[:, 3] += 255 * pca.offset(std * rng.standard_normal(3))
        return product

    return apply


_CHANGES: dict[str, Callable[[Any, ColourPca], Change]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
    "pca_jitter": _pca_jitter,
    "grayscale": _grayscale,
}


def _factor(rng: np.random.Generator, change: float) -> float:
    """Draw from 1 - change to 1 + change; ten times as quick as ``rng.uniform``."""
    return 1 + change * (2 * rng.random() - 1)


class ColourJitter(ImageTransform):
    """Draw several changes of colour, one after the other, and apply them as one matrix.

    Args:
        steps: in their order.
    """

    def __init__(self, steps: Sequence[ColourStep]) -> None:
        super().__init__(p=1.0)
        self.steps = tuple(steps)
        self._needs_mean = any(step.needs_mean for step in steps)

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw one matrix; the mean grey comes from the picture."""
        return {"matrix": self.draw_matrix(data["image"])}

    def draw_matrix(self, image: NDArray[np.uint8]) -> Matrix | None:
        """Return the product of the steps that are taken, or None where none is."""
        rng = self.random_generator
        mean = np.ones(4)
        if self._needs_mean:
            mean[:3] = cv2.mean(image)[:3]
        product = _NOTHING
        for step in self.steps:
            if step.p == 1 or rng.random() < step.p:
                product = step.change(rng, product, mean)
        return None if product is _NOTHING else product

    def apply(self, img: NDArray[np.uint8], matrix: Any = None, **params: Any) -> NDArray[np.uint8]:
        """Apply the matrix with rounding and clipping to 0 to 255."""
        if matrix is None:
            return img
        return np.asarray(cv2.transform(img, matrix), dtype=np.uint8)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("steps",)
