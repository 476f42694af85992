"""All changes of place of one draw as one 3 x 3 matrix a picture.

Translation, rotation, scaling, stretching, shear and perspective are homographies, so their
product is one, and the pixels are interpolated once however many steps there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.image_transform import ImageTransform

Matrix = NDArray[np.float64]
# A step draws its (3, 3) matrix in coordinates (x, y, 1) in which the picture spans -1 to 1 in
# height and -a to a in width, a = width / height: there a rotation is a rotation.
Draw = Callable[[np.random.Generator, float], Matrix]

# OpenCV's mode, and the value that it fills with where it is constant.
BORDERS = {
    "reflect": (cv2.BORDER_REFLECT_101, 0),
    "edge": (cv2.BORDER_REPLICATE, 0),
    "black": (cv2.BORDER_CONSTANT, 0),
    "grey": (cv2.BORDER_CONSTANT, 128),
}


@dataclass(frozen=True, slots=True)
class GeometryStep:
    """One random change of place: how its matrix is drawn, and its probability."""

    draw: Draw
    p: float


def geometry_step(name: str, settings: Any) -> GeometryStep:
    """Return the step of one row of `tl.transforms`."""
    return GeometryStep(_DRAWS[name](settings), settings["p"])


def _translate(settings: Any) -> Draw:
    part = 2 * settings["fraction"]  # of a side of length 2

    def draw(rng: np.random.Generator, aspect: float) -> Matrix:
        right, down = rng.uniform(-part, part, 2)
        return np.array([[1, 0, right * aspect], [0, 1, down], [0, 0, 1]])

    return draw


def _rotate(settings: Any) -> Draw:
    largest = np.deg2rad(settings["degrees"])

    def draw(rng: np.random.Generator, aspect: float) -> Matrix:
        angle = rng.uniform(-largest, largest)
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])

    return draw


def _scale(settings: Any) -> Draw:
    low, high = np.log(settings["min_factor"]), np.log(settings["max_factor"])

    def draw(rng: np.random.Generator, aspect: float) -> Matrix:
        factor = np.exp(rng.uniform(low, high))
        return np.diag([factor, factor, 1.0])

    return draw


def _stretch(settings: Any) -> Draw:
    largest = np.log(settings["factor"]) / 2  # half of it in each direction

    def draw(rng: np.random.Generator, aspect: float) -> Matrix:
        factor = np.exp(rng.uniform(-largest, largest))
        return np.diag([factor, 1 / factor, 1.0])

    return draw


def _shear(settings: Any) -> Draw:
    largest = settings["degrees"]

    def draw(rng: np.random.Generator, aspect: float) -> Matrix:
        slant = np.tan(np.deg2rad(rng.uniform(-largest, largest)))
        return np.array([[1, slant, 0], [0, 1, 0], [0, 0, 1]])

    return draw


def _perspective(settings: Any) -> Draw:
    part = 2 * settings["shift"]

    def draw(rng: np.random.Generator, aspect: float) -> Matrix:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [aspect, 1]
        moved = corners + rng.uniform(-part, part, (4, 2)) * [aspect, 1]
        matrix: Matrix = cv2.getPerspectiveTransform(
            corners.astype(np.float32), moved.astype(np.float32)
        )
        return matrix

    return draw


_DRAWS: dict[str, Callable[[Any], Draw]] = {
    "translate": _translate,
    "rotate": _rotate,
    "scale": _scale,
    "stretch": _stretch,
    "shear": _shear,
    "perspective": _perspective,
}


def in_pixels(matrix: Matrix, height: int, width: int) -> Matrix:
    """Turn a matrix of the coordinates above into one of pixel indices."""
    half = height / 2
    # The middle of pixel 0 is half a pixel from the border.
    to_pixels = np.array([[half, 0, width / 2 - 0.5], [0, half, height / 2 - 0.5], [0, 0, 1]])
    return to_pixels @ matrix @ np.linalg.inv(to_pixels)


def warp(image: NDArray[np.uint8], matrix: Matrix, border: str) -> NDArray[np.uint8]:
    """Move the pixels of a picture; its size stays.

    Args:
        image: (height, width, 3).
        matrix: in the coordinates of `Draw`.
        border: key of `BORDERS`.
    """
    height, width = image.shape[:2]
    if np.allclose(matrix, np.eye(3), atol=1e-9):
        return image
    size, way = (width, height), cv2.INTER_LINEAR
    mode, value = BORDERS[border]
    fill = (value, value, value)
    pixels = in_pixels(matrix, height, width)
    if np.array_equal(pixels[2], (0, 0, 1)):
        moved = cv2.warpAffine(
            image, pixels[:2], size, flags=way, borderMode=mode, borderValue=fill
        )
    else:
        moved = cv2.warpPerspective(
            image, pixels, size, flags=way, borderMode=mode, borderValue=fill
        )
    return np.asarray(moved, np.uint8)


class Warp(ImageTransform):
    """Draw several changes of place, one after the other, and apply them as one matrix.

    Args:
        steps: in their order.
        border: key of `BORDERS`.
    """

    def __init__(self, steps: Sequence[GeometryStep], border: str) -> None:
        super().__init__(p=1.0)
        self.steps = tuple(steps)
        self.border = border

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw one matrix."""
        height, width = data["image"].shape[:2]
        rng = self.random_generator
        matrix = np.eye(3)
        for step in self.steps:
            if rng.random() < step.p:
                matrix = step.draw(rng, width / height) @ matrix
        return {"matrix": matrix}

    def apply(self, img: NDArray[np.uint8], matrix: Any = None, **params: Any) -> NDArray[np.uint8]:
        """Apply the matrix."""
        return warp(img, matrix, self.border)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("steps", "border")
