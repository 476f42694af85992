"""The one view of a picture that evaluation and serving use: whole centre, no randomness."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def centre_view(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut the largest centred area of the target's shape and resize it.

    Pillow's BILINEAR is a triangle filter widened when shrinking, as is
    ``tf.image.resize(antialias=True)`` in the served graph. Both work in float32 and round once:
    Pillow's way for bytes rounds between its two passes, which moves one pixel in seven.

    Args:
        image: (height, width, 3).
        size: target (height, width).

    Returns:
        (size[0], size[1], 3).
    """
    top, left, height, width = centre_box((image.shape[0], image.shape[1]), size)
    centre = image[top : top + height, left : left + width]
    if (height, width) == size:
        return np.ascontiguousarray(centre)
    view = np.empty((*size, 3), np.uint8)
    for channel in range(3):  # Pillow has no RGB picture of floats
        plane = Image.fromarray(centre[..., channel].astype(np.float32))
        resized = plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        view[..., channel] = np.rint(np.asarray(resized))  # means of bytes: none beyond them
    return view


def centre_box(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of the largest centred box with the shape of ``size``.

    Integer arithmetic only, so that the graph finds the same box.
    """
    height = min(shape[0], max(1, shape[1] * size[0] // size[1]))
    width = min(shape[1], max(1, shape[0] * size[1] // size[0]))
    return (shape[0] - height) // 2, (shape[1] - width) // 2, height, width
