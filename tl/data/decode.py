"""Encoded bytes to upright RGB pixels, and to bytes that the served graph decodes identically.

OpenCV and TensorFlow decode JPEG (accurate DCT), PNG of any depth, GIF, true-colour BMP and
still WebP to the same values (at most one level apart, for CMYK JPEG; measured, and held by a
test). Everything else is turned into 8-bit PNG once, at ingest, and trained and evaluated from
that.
"""

import io
import struct
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tl.data.exif import jpeg_orientation, turn_upright
from tl.errors import DatasetError

# fmt: off
EXTENSIONS = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff",
    ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".jxl",
])
# fmt: on
# 100 megapixels are 300 MB decoded: above any camera that people photograph a dataset with.
MAX_PIXELS = 100_000_000

# Pillow warns at 89 megapixels and raises at twice that; `check_size` refuses by our own limit.
Image.MAX_IMAGE_PIXELS = None
_PILLOW_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error)

Kind = Literal["jpeg", "png", "gif", "bmp", "webp", "other"]


def picture_kind(data: bytes) -> Kind:
    """Return the format by the file's first bytes; ``other`` for what the graph cannot decode."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and not _is_animated_webp(data):
        return "webp"
    # Palette and run-length BMP decode silently wrong in TensorFlow.
    if data[:2] == b"BM" and len(data) >= 34:
        bits, compression = struct.unpack_from("<HI", data, 28)
        if bits in (24, 32) and compression in (0, 3):
            return "bmp"
    return "other"


def _is_animated_webp(data: bytes) -> bool:
    return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 0x02)


def picture_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as stored, from the header alone.

    Raises:
        DatasetError: not a picture in a format known here.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
    except _PILLOW_ERRORS as error:
        raise DatasetError("not a picture, or its header is damaged") from error
    return height, width


def check_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (height, width), refusing a picture by its size before it is decoded.

    Raises:
        DatasetError: damaged header, or more than ``max_pixels`` pixels.
    """
    height, width = picture_size(data)
    if height * width > max_pixels:
        raise DatasetError(
            f"{width} x {height} is {height * width / 1e6:.0f} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.0f} (data.max_megapixels)"
        )
    return height, width


def decode_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode to upright 8-bit RGB, (height, width, 3).

    Grey is repeated, alpha is dropped, the first frame of an animation is taken, 16 bits keep
    their high byte. EXIF orientation is honoured in JPEG only, as in the served graph.

    Raises:
        DatasetError: damaged, unknown, or larger than ``max_pixels``.
    """
    check_size(data, max_pixels)
    kind = picture_kind(data)
    if kind == "other":
        return _decode_with_pillow(data)
    image = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if image is None:
        raise DatasetError(f"damaged or cut-off {kind.upper()}")
    return turn_upright(image, jpeg_orientation(data)) if kind == "jpeg" else image


def _decode_with_pillow(data: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
                return _high_byte(np.asarray(picture))
            return np.asarray(picture.convert("RGB"))
    except _PILLOW_ERRORS as error:
        raise DatasetError(f"damaged, or a format that Pillow cannot read ({error})") from error


def _high_byte(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Turn deep grey into RGB the way the PNG decoders do (high byte of 16 bits)."""
    deep = np.clip(grey.astype(np.float64), 0, 65535).astype(np.uint16)
    return np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2)


def servable_bytes(data: bytes) -> bytes:
    """Return bytes that the served graph decodes to the same pixels as `decode_picture`.

    The bytes themselves where the format allows it, else the picture as 8-bit PNG.
    """
    if picture_kind(data) != "other":
        return data
    done, png = cv2.imencode(".png", cv2.cvtColor(decode_picture(data), cv2.COLOR_RGB2BGR))
    assert done
    return bytes(png)
