"""Test-time augmentation: several views of one picture, whose scores are averaged.

A picture and a function that resizes go in, views of the model's size come out. The caller gives
the resizing that evaluation uses, so that a view differs from the plain one by its place only.
"""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tl.errors import ConfigError

Image = NDArray[np.uint8]
Resize = Callable[[Image, tuple[int, int]], Image]  # picture, (height, width)
TestTime = Literal["none", "ten-crop", "multi-scale"]

PAPER_SIZE = 224  # the view that He et al. give their short sides for
TEN_CROP_SIDE = 256
SHORT_SIDES = (224, 256, 384, 480, 640)


def centre_crop(image: Image, size: tuple[int, int]) -> Image:
    """Return the (height, width) in the middle of a picture that is no smaller."""
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]


def ten_crop(image: Image, size: tuple[int, int]) -> Image:
    """Return (10, height, width, 3): four corners, the centre, and these mirrored.

    Source: Krizhevsky et al. 2012, section 4.1; He et al. 2015, section 3.4.
    """
    bottom, right = image.shape[0] - size[0], image.shape[1] - size[1]
    corners = [
        image[top : top + size[0], left : left + size[1]]
        for top in (0, bottom)
        for left in (0, right)
    ]
    views = np.stack([*corners, centre_crop(image, size)])
    return np.concatenate([views, views[:, :, ::-1]])


def scaled_shape(shape: tuple[int, int], size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return height and width with a given short side, never less than the view.

    Args:
        shape: (height, width) of the picture.
        size: (height, width) of the views.
        short_side: in pixels for views of 224; others in proportion to their longer side.
    """
    side = short_side * max(size) / PAPER_SIZE
    factor = side / min(shape)
    return max(size[0], round(shape[0] * factor)), max(size[1], round(shape[1] * factor))


def views_of(
    image: Image, size: tuple[int, int], kind: TestTime, resize: Resize
) -> Iterator[Image]:
    """Yield the views of one picture, in groups of (n, height, width, 3).

    Args:
        image: (height, width, 3).
        size: (height, width) of the views.
        kind: ``none`` for the centre view of evaluation; ``ten-crop`` at one scale of 256 for
            views of 224; ``multi-scale`` for ten at each of 224, 256, 384, 480 and 640, in
            groups of ten.
        resize: of a picture to a height and width.

    Raises:
        ConfigError: another kind.

    Source: He et al. 2015, section 3.4.
    """
    if kind not in get_args(TestTime):
        raise ConfigError(f"tta {kind!r}; valid: {', '.join(get_args(TestTime))}")
    if kind == "none":
        yield resize(image, size)[None]
        return
    for short_side in (TEN_CROP_SIDE,) if kind == "ten-crop" else SHORT_SIDES:
        shape = scaled_shape((image.shape[0], image.shape[1]), size, short_side)
        yield ten_crop(resize(image, shape), size)
