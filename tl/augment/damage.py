"""Lens, blur and erasing where albumentations 2.0.8 will not do.

Its lens distortion of strength 0 still moves the picture, its blur divides by a deviation of 0,
and its erasing fails on pictures of one row.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.geometry_matrix import BORDERS
from tl.augment.image_transform import ImageTransform

Image = NDArray[np.uint8]
ERASED_RATIOS = (0.3, 1 / 0.3)  # Zhong et al. 2017, table 6
GREY = 128


class LensDistortion(ImageTransform):
    """Pull the pixels to the centre or away from it, the more the farther out they lie.

    Args:
        strength: largest coefficient k of r' = r (1 + k r^2), where r is 1 in the corners.
        border: key of `BORDERS`.
        p: probability.

    Source: Brown 1966, the first radial term.
    """

    def __init__(self, *, strength: float, border: str, p: float) -> None:
        super().__init__(p=p)
        self.strength = strength
        self.border = border

    def get_params(self) -> dict[str, Any]:
        """Draw the coefficient."""
        return {"k": self.random_generator.uniform(-self.strength, self.strength)}

    def apply(self, img: Image, k: float = 0.0, **params: Any) -> Image:
        """Take each pixel from its place in the distorted picture."""
        height, width = img.shape[:2]
        if k == 0:
            return img
        middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
        y = (np.arange(height, dtype=np.float32) - middle_y)[:, None]
        x = (np.arange(width, dtype=np.float32) - middle_x)[None, :]
        factor = 1 + k * (x * x + y * y) / max(1.0, middle_x**2 + middle_y**2)
        mode, value = BORDERS[self.border]
        map_x, map_y = x * factor + middle_x, y * factor + middle_y
        return np.asarray(
            cv2.remap(
                img,
                map_x.astype(np.float32),
                map_y.astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=mode,
                borderValue=(value, value, value),
            ),
            np.uint8,
        )

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("strength", "border")


class Blur(ImageTransform):
    """Gaussian blur of a random deviation.

    Args:
        sigma: largest standard deviation in pixels.
        p: probability.
    """

    def __init__(self, *, sigma: float, p: float) -> None:
        super().__init__(p=p)
        self.sigma = sigma

    def get_params(self) -> dict[str, Any]:
        """Draw the deviation."""
        return {"sigma": self.random_generator.uniform(0, self.sigma)}

    def apply(self, img: Image, sigma: float = 0.0, **params: Any) -> Image:
        """Blur; OpenCV takes a deviation of 0 for "choose one yourself"."""
        return np.asarray(cv2.GaussianBlur(img, (0, 0), sigma), np.uint8) if sigma > 0 else img

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("sigma",)


class Erase(ImageTransform):
    """Paint over one rectangle.

    Args:
        area: range of its share of the picture.
        noise: paint noise, in place of grey.
        p: probability.

    Sources: DeVries & Taylor 2017 (one grey square); Zhong et al. 2017 (shape and noise).
    """

    def __init__(self, *, area: tuple[float, float], noise: bool, p: float) -> None:
        super().__init__(p=p)
        self.area = area
        self.noise = noise

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw the rectangle; a shape that would not fit is cut to the picture."""
        rng = self.random_generator
        height, width = data["image"].shape[:2]
        area = rng.uniform(*self.area) * height * width
        ratio = np.exp(rng.uniform(*np.log(ERASED_RATIOS)))
        rows = min(height, round(np.sqrt(area / ratio)))
        columns = min(width, round(area / max(rows, 1)))
        top = int(rng.integers(height - rows + 1))
        left = int(rng.integers(width - columns + 1))
        paint: Any = GREY
        if self.noise:
            paint = rng.integers(0, 256, (rows, columns, 3), np.uint8)
        return {"box": (top, left, rows, columns), "paint": paint}

    def apply(self, img: Image, box: Any = None, paint: Any = GREY, **params: Any) -> Image:
        """Paint."""
        top, left, rows, columns = box
        img = img.copy()
        img[top : top + rows, left : left + columns] = paint
        return img

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("area", "noise")
