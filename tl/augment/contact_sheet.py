"""Originals beside what an augmentation makes of them, as one picture to look at."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.recipes import Augmentation
from tl.augment.views import resize

DRAWS = 12
TILE = 128  # pixels
GAP = 4
HEADER = 22
PAPER, INK = 255, (40, 40, 40)


def draw_contact_sheet(
    images: Sequence[NDArray[np.uint8]], augmentation: Augmentation, *, seed: int, title: str
) -> NDArray[np.uint8]:
    """Draw one row for each picture: the whole original, then twelve draws.

    Args:
        images: (height, width, 3) each, of any size.
        augmentation: makes the draws.
        seed: of the draws; the same seed gives the same sheet.
        title: a line above.

    Returns:
        (height, width, 3).
    """
    columns = DRAWS + 1
    width = columns * (TILE + GAP) + 3 * GAP
    sheet = np.full((HEADER + len(images) * (TILE + GAP) + GAP, width, 3), PAPER, np.uint8)
    # OpenCV draws ASCII only.
    words = title.encode("ascii", "replace").decode()
    cv2.putText(sheet, words, (GAP, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    seeds = np.random.default_rng(seed).integers(2**31, size=(len(images), DRAWS))
    for row, image in enumerate(images):
        top = HEADER + row * (TILE + GAP)
        _paste(sheet, image, top, GAP)
        for column in range(DRAWS):
            view = augmentation(image, int(seeds[row, column]))
            # The gap after the original is wider.
            _paste(sheet, view, top, (column + 1) * (TILE + GAP) + 3 * GAP)
    return sheet


def _paste(sheet: NDArray[np.uint8], image: NDArray[np.uint8], top: int, left: int) -> None:
    """Put a picture, whole and in its shape, in the middle of a tile."""
    factor = TILE / max(image.shape[:2])
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    top, left = top + (TILE - height) // 2, left + (TILE - width) // 2
    sheet[top : top + height, left : left + width] = resize(image, (height, width))
