"""Crops and views that give a picture its final size."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.image_transform import ImageTransform

PAPER_SIZE = 224  # the view that He et al. give their short sides for


# Shrinking by factors up to here is close enough to what a wider filter gives (measured).
NEARLY_NONE = 1.1
# From here on OpenCV's own area filter is nearer to evaluation than two samples a pixel.
STRONG = 2.5


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize to (height, width) without the aliasing that evaluation does not have either.

    Between the two factors the picture is sampled at twice the target and each 2 x 2 averaged:
    as near to evaluation's filter as OpenCV's INTER_AREA, at half of its time (docs/augment.md).
    """
    if image.shape[:2] == size:
        return image
    height, width = size
    factor = max(image.shape[0] / height, image.shape[1] / width)
    if factor < NEARLY_NONE:
        return _resize(image, width, height, cv2.INTER_LINEAR)
    if factor < STRONG:
        image = _resize(image, 2 * width, 2 * height, cv2.INTER_LINEAR)
    return _resize(image, width, height, cv2.INTER_AREA)


def _resize(image: NDArray[np.uint8], width: int, height: int, way: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)


class Centre(ImageTransform):
    """Cut the largest centred area of the target's shape and resize it.

    The box is the one that evaluation and the served graph take; only the filter is another.

    Args:
        size: (height, width).
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(p=1.0)
        self.size = size

    def apply(self, img: NDArray[np.uint8], **params: Any) -> NDArray[np.uint8]:
        """Return the view."""
        height = min(img.shape[0], max(1, img.shape[1] * self.size[0] // self.size[1]))
        width = min(img.shape[1], max(1, img.shape[0] * self.size[1] // self.size[0]))
        top, left = (img.shape[0] - height) // 2, (img.shape[1] - width) // 2
        return resize(img[top : top + height, left : left + width], self.size)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("size",)


class RandomResizedCrop(ImageTransform):
    """Cut an area of random size, shape and place, and resize it.

    Args:
        size: (height, width) of the view.
        area: range of its share of the picture.
        ratio: range of width / height, drawn evenly on a log scale.

    Source: Szegedy et al. 2015, section 6.
    """

    TRIES = 10

    def __init__(
        self, size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float]
    ) -> None:
        super().__init__(p=1.0)
        self.size = size
        self.area = area
        self.ratio = ratio

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw the box; a shape that does not fit in ten tries is the largest that does."""
        rng = self.random_generator
        height, width = data["image"].shape[:2]
        low, high = np.log(self.ratio)
        for _ in range(self.TRIES):
            area = rng.uniform(*self.area) * height * width
            ratio = np.exp(rng.uniform(low, high))
            rows, columns = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
            if 0 < rows <= height and 0 < columns <= width:
                break
        else:
            wanted = min(max(width / height, self.ratio[0]), self.ratio[1])
            rows = max(1, min(height, round(width / wanted)))
            columns = max(1, min(width, round(height * wanted)))
        top = int(rng.integers(height - rows + 1))
        left = int(rng.integers(width - columns + 1))
        return {"box": (top, left, rows, columns)}

    def apply(self, img: NDArray[np.uint8], box: Any = None, **params: Any) -> NDArray[np.uint8]:
        """Return the box at its final size."""
        top, left, rows, columns = box
        return resize(img[top : top + rows, left : left + columns], self.size)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("size", "area", "ratio")


class ResNetCrop(ImageTransform):
    """Resize the short side to a random length and cut a random patch of the target's size.

    The patch is cut first and only it is resized, which gives the same view for less.

    Args:
        size: (height, width).
        short_side: range of the drawn length in pixels for a view of 224; other sizes in
            proportion to their longer side.

    Source: He et al. 2015, section 3.4: [256, 480] for training.
    """

    def __init__(self, size: tuple[int, int], short_side: tuple[float, float]) -> None:
        super().__init__(p=1.0)
        self.size = size
        self.short_side = short_side

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw length and place."""
        rng = self.random_generator
        low, high = self.short_side
        length = rng.uniform(low, high) * max(self.size) / PAPER_SIZE
        height, width = data["image"].shape[:2]
        # In pixels of the original; the patch is no longer than the short side, for length is
        # no less than the view.
        factor = min(height, width) / length
        patch = (max(1, round(self.size[0] * factor)), max(1, round(self.size[1] * factor)))
        top = int(rng.integers(height - patch[0] + 1))
        left = int(rng.integers(width - patch[1] + 1))
        return {"box": (top, left, *patch)}

    def apply(self, img: NDArray[np.uint8], box: Any = None, **params: Any) -> NDArray[np.uint8]:
        """Return the patch at its final size."""
        top, left, height, width = box
        return resize(img[top : top + height, left : left + width], self.size)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Name the arguments that albumentations prints and stores."""
        return ("size", "short_side")
