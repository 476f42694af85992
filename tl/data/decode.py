"""Encoded bytes to upright RGB pixels, and to bytes that the served graph decodes identically.

OpenCV and TensorFlow decode JPEG (accurate DCT), PNG of any depth, true-colour BMP and still WebP
to the same values (at most one level apart, for CMYK JPEG; measured, and held by a test); so do
Pillow and TensorFlow for GIF. Everything else, and the rare files of these formats that TensorFlow
reads otherwise, is turned into 8-bit PNG once, at ingest, and trained and evaluated from that.
"""

import io
import struct
import warnings
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from tl.data.exif import jpeg_orientation, turn_upright
from tl.data.jpeg_header import is_bare_cmyk_jpeg, plain_jpeg_size
from tl.errors import DatasetError

# fmt: off
EXTENSIONS = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff",
    ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".jxl",
])
# fmt: on
# 100 megapixels are 300 MB decoded: above any camera that people photograph a dataset with.
MAX_PIXELS = 100_000_000
NO_LIMIT = 2**62  # for pictures whose size has been accepted before

# Pillow warns at 89 megapixels and raises at twice that; `check_size` refuses by our own limit.
Image.MAX_IMAGE_PIXELS = None
# It also warns of every odd tag in a picture that it can read all the same.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Only what `EXTENSIONS` promises: Pillow would try some forty formats on every unknown file, and
# hand PostScript to Ghostscript.
_PILLOW_FORMATS = [
    one
    for one in ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
    if one != "AVIF" or features.check("avif")
]
# What Pillow's readers raise for damaged files, found by feeding them such files.
_PILLOW_ERRORS = (
    UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error,
    RuntimeError, OverflowError, LookupError, TypeError, AttributeError, MemoryError,
)  # fmt: skip

Kind = Literal["jpeg", "png", "gif", "bmp", "webp", "other"]


def picture_kind(data: bytes) -> Kind:
    """Return the format by the file's first bytes.

    ``other`` is what the graph cannot decode, or decodes to other pixels than everybody else.
    """
    if data[:3] == b"\xff\xd8\xff" and not is_bare_cmyk_jpeg(data):
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:6] in (b"GIF87a", b"GIF89a") and _first_frame_fills_gif(data):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and not _is_animated_webp(data):
        return "webp"
    if data[:2] == b"BM" and _is_plain_bmp(data):
        return "bmp"
    return "other"


def _first_frame_fills_gif(data: bytes) -> bool:
    """Tell whether the first frame covers the screen: TensorFlow cuts off what it leaves free."""
    if len(data) < 13:
        return False
    position = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[position : position + 1] == b"!":  # extensions before the frame
        position += 2
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    frame = data[position + 1 : position + 9]
    return data[position : position + 1] == b"," and frame == b"\0\0\0\0" + data[6:10]


def _is_plain_bmp(data: bytes) -> bool:
    """Tell true colour in the usual order and exact length.

    Palettes, run lengths and other orders decode silently wrong in TensorFlow; it refuses
    bytes after the last row, which Photoshop writes.
    """
    if len(data) < 54:
        return False
    start, header, width, height = struct.unpack_from("<IIii", data, 10)
    bits, compression = struct.unpack_from("<HI", data, 28)
    usual_masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    return (
        header >= 40
        and bits in (24, 32)
        and (compression == 0 or (compression == 3 and data[54:66] == usual_masks))
        and start + (width * bits + 31) // 32 * 4 * abs(height) == len(data)
    )


def _is_animated_webp(data: bytes) -> bool:
    return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 0x02)


def picture_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as stored, from the header alone.

    Raises:
        DatasetError: not a picture in a format known here.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as picture:
            width, height = picture.size
    except _PILLOW_ERRORS as error:
        raise DatasetError(_why_unknown(data)) from error
    return height, width


def _why_unknown(data: bytes) -> str:
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "HEIC cannot be read here; convert it to JPEG"
    if data[:2] == b"\xff\x0a" or data[:8] == b"\0\0\0\x0cJXL ":
        return "JPEG XL cannot be read here; convert it to JPEG or PNG"
    return "not a picture, or its header is damaged"


def check_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (height, width), refusing a picture by its size before it is decoded.

    Raises:
        DatasetError: damaged header, or more than ``max_pixels`` pixels.
    """
    height, width = plain_jpeg_size(data) or picture_size(data)
    if height * width > max_pixels:
        raise DatasetError(
            f"{width} x {height} is {height * width / 1e6:.3g} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.3g} (data.max_megapixels)"
        )
    return height, width


def reduced_shape(height: int, width: int, at_least: int | None) -> tuple[int, int, int]:
    """Return (height, width, factor) of a JPEG decoded as small as ``at_least`` allows.

    The decoder halves a picture up to three times for less than it costs to decode it whole.
    """
    factor = 1
    while at_least is not None and factor < 8 and min(height, width) // (2 * factor) >= at_least:
        factor *= 2
    return -(-height // factor), -(-width // factor), factor


# These give BGR and take no flag for RGB beside them.
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decode_picture(
    data: bytes, max_pixels: int = MAX_PIXELS, at_least: int | None = None
) -> NDArray[np.uint8]:
    """Decode to upright 8-bit RGB, (height, width, 3).

    Grey is repeated, alpha is dropped, the first frame of an animation is taken, 16 bits keep
    their high byte, and what is transparent in a GIF is black. EXIF orientation is honoured in
    JPEG only, as in the served graph (and in TIFF, where the tag belongs to the format).

    Args:
        data: the file.
        max_pixels: a larger picture is refused by its header.
        at_least: sides in pixels that are enough: a JPEG with much larger ones is decoded at a
            half, a quarter or an eighth. None for evaluation, which sees what the server sees.

    Raises:
        DatasetError: damaged, unknown, or larger than ``max_pixels``.
    """
    height, width = check_size(data, max_pixels)
    kind = picture_kind(data)
    if kind == "jpeg":
        factor = reduced_shape(height, width, at_least)[2]
        return turn_upright(decode_jpeg(data, factor), jpeg_orientation(data))
    # OpenCV gives the first animated frame of a PNG even where the picture itself is another,
    # and what is transparent in a GIF a colour of its own choice.
    if kind in ("other", "gif") or (kind == "png" and _is_animated_png(data)):
        return _decode_with_pillow(data)
    return _decode_with_opencv(data, cv2.IMREAD_COLOR_RGB, kind)


def decode_jpeg(data: bytes, factor: int = 1) -> NDArray[np.uint8]:
    """Decode a JPEG to RGB, not turned, at 1, 1/2, 1/4 or 1/8 of its size.

    Raises:
        DatasetError: damaged; the factor makes no difference to what is.
    """
    image = _decode_with_opencv(data, _REDUCED.get(factor, cv2.IMREAD_COLOR_RGB), "jpeg")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if factor > 1 else image


def _decode_with_opencv(data: bytes, flags: int, kind: Kind) -> NDArray[np.uint8]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:  # its own limits of size
        raise DatasetError(f"OpenCV refuses this {kind.upper()}: {error.err}") from error
    if image is None:
        raise DatasetError(f"damaged or cut-off {kind.upper()}")
    return np.asarray(image, np.uint8)


def _is_animated_png(data: bytes) -> bool:
    """Tell an animation, refusing a chunk that is longer than the file.

    OpenCV would ask for the 4 GB that such a chunk may promise before it looks for them.
    """
    position = 8
    while position + 12 <= len(data):
        name = data[position + 4 : position + 8]
        if name == b"acTL":
            return True
        if name == b"IEND":
            return False
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise DatasetError("damaged or cut-off PNG")


def _decode_with_pillow(data: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as picture:
            if picture.format == "GIF":
                return _black_where_transparent(np.asarray(picture.convert("RGBA")))
            if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
                return _high_byte(np.asarray(picture))
            return np.asarray(picture.convert("RGB"))
    except _PILLOW_ERRORS as error:
        raise DatasetError(f"damaged, or a format that Pillow cannot read ({error})") from error


def _black_where_transparent(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(rgba[:, :, 3:] > 0, rgba[:, :, :3], np.uint8(0))


def _high_byte(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Turn deep grey into RGB the way the PNG decoders do (high byte of 16 bits)."""
    deep = np.clip(grey.astype(np.float64), 0, 65535).astype(np.uint16)
    return np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2)


def servable_bytes(data: bytes) -> bytes:
    """Return bytes that the served graph decodes to the same pixels as `decode_picture`.

    The bytes themselves where the format allows it, else the picture as 8-bit PNG. Its size is
    not judged again: `check_size`, or the inspection of the dataset, comes before.

    Raises:
        DatasetError: the picture would have to be converted, but is damaged.
    """
    if picture_kind(data) != "other":
        return data
    image = decode_picture(data, NO_LIMIT)
    done, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return bytes(png)
