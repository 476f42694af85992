"""Small pictures inside a page: JPEGs in data addresses."""

import base64

import cv2
import numpy as np

from tl.data.decode import decode_picture
from tl.data.example import Example
from tl.errors import DatasetError

QUALITY = 75


def thumbnail(example: Example, max_pixels: int, side: int) -> str | None:
    """Return a picture as a small JPEG in a data address, or None where it cannot be read.

    Args:
        example: the picture.
        max_pixels: larger ones are not decoded for a page either.
        side: of the square that it fits into, in pixels; smaller pictures stay as they are.
    """
    try:
        image = decode_picture(example.read(), max_pixels, at_least=side)
    except DatasetError:
        return None
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return data_address(cv2.resize(image, shape, interpolation=cv2.INTER_AREA))


def data_address(image: object, quality: int = QUALITY) -> str:
    """Return RGB uint8 (height, width, 3) as a JPEG in a data address."""
    bgr = cv2.cvtColor(np.asarray(image, np.uint8), cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return f"data:image/jpeg;base64,{base64.b64encode(np.asarray(jpeg).tobytes()).decode()}"
