"""What cameras and the way to the server do to pictures, at three severities.

Blur, noise, compression and light work on the view at the network's size, in which their severity
then means the same for any dataset; rotation works on the whole picture, so that no corner is empty
that had something in it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
SEVERITIES = (1, 2, 3)


def _blur(image: Image, severity: int, rng: np.random.Generator) -> Image:
    # Under 0.4 pixels, which is reached at sides of 80, OpenCV's kernel is one pixel wide.
    sigma = max(0.3 + 0.1 * severity, min(image.shape[:2]) * (0.005, 0.01, 0.02)[severity - 1])
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    deviation = (10, 20, 40)[severity - 1]
    noise = rng.standard_normal(image.shape, np.float32) * deviation
    return np.asarray((image + noise).clip(0, 255).round(), np.uint8)


def _jpeg(image: Image, severity: int, rng: np.random.Generator) -> Image:
    quality = (30, 15, 7)[severity - 1]
    _, packed = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(
        np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[:, :, ::-1], np.uint8
    )


def _brightness(image: Image, severity: int, rng: np.random.Generator) -> Image:
    factor = (1.3, 1.6, 2.0)[severity - 1]
    if rng.random() < 0.5:  # too dark as often as too light
        factor = 1 / factor
    return np.asarray((image * np.float32(factor)).clip(0, 255).round(), np.uint8)


def _rotation(image: Image, severity: int, rng: np.random.Generator) -> Image:
    degrees = (10, 20, 45)[severity - 1] * (1 if rng.random() < 0.5 else -1)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


Corruption = Callable[[Image, int, np.random.Generator], Image]
CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "brightness": _brightness,
    "rotation": _rotation,
}
"""By name, from RGB (height, width, 3), a severity of 1 to 3 and chance to another picture.

Source: the idea and the kinds are of Hendrycks & Dietterich 2019 (ImageNet-C); standard deviations
of blur are shares of the view's side, those of noise are levels of 255.
"""


def corrupted_view(
    image: Image,
    name: str,
    severity: int,
    view: Callable[[Image], Image],
    seed: Any,
) -> Image:
    """Return the view of a corrupted picture.

    Args:
        image: RGB (height, width, 3).
        name: key of `CORRUPTIONS`.
        severity: 1 to 3.
        view: cuts and resizes as serving does.
        seed: the same one gives the same corruption.
    """
    rng = np.random.default_rng(seed)
    if name == "rotation":
        return view(_rotation(image, severity, rng))
    return CORRUPTIONS[name](view(image), severity, rng)
