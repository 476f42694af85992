"""Small encoded pictures of every format that is served, and damage to them."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

SIZES = (0, 1, 2, 255, 4096, 9_999, 32_768, 65_535, 2**24 - 1, 2**31 - 1, 2**32 - 1)
# 64 x 64, red, and 321 x 123 in a file of boxes; Pillow does not write JPEG XL.
JXL = [
    base64.b64decode("/wpPQCQIAAEAQABLGIsVgF3+fwCpLwAA3f0B"),
    base64.b64decode(
        "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAApanhsY/8K0AOAgkgIBAEAUABLGIsVgF3+fwCpEQiYTPyjfBLN"
        "AA=="
    ),
]
# Where the head of each kind has width and height.
_DIMENSIONS = {
    b"\x89PN": [(16, ">I"), (20, ">I")],
    b"GIF": [(6, "<H"), (8, "<H")],
    b"BM": [(18, "<I"), (22, "<I")],
    b"RIF": [(24, "<I"), (27, "<I"), (26, "<H"), (28, "<H"), (21, "<I")],
    b"\xff\n": [(2, "<I"), (4, "<I")],
}


def photo() -> Image.Image:
    """53 x 37, smooth, with a bright corner."""
    y, x = np.mgrid[0:37, 0:53]
    pixels = np.stack([255 * x / 53, 255 * y / 37, 127 + 60 * np.sin(x / 5)], axis=2)
    pixels[:9, :12] = (250, 40, 10)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), "JPEG", exif=exif)


def good_pictures() -> list[bytes]:
    """A picture of every kind, each of which the models of tl answer."""
    image, moved = photo(), photo().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    several: dict[str, Any] = {"save_all": True, "append_images": [moved, image]}
    clear = image.convert("RGBA")
    return [
        encoded(image, "JPEG"), encoded(image, "JPEG", progressive=True),
        encoded(image.convert("L"), "JPEG"), encoded(image.convert("CMYK"), "JPEG"), turned(6),
        encoded(image, "PNG"), encoded(clear, "PNG"), encoded(image.quantize(16), "PNG"),
        encoded(image.convert("L"), "PNG"), encoded(image.convert("1"), "PNG"),
        encoded(image, "GIF"), encoded(image, "GIF", **several),
        encoded(image, "WEBP"), encoded(image, "WEBP", lossless=True), encoded(clear, "WEBP"),
        moving_webp(opaque=False), encoded(image, "BMP"), *JXL,
    ]  # fmt: skip


def moving_webp(*, opaque: bool) -> bytes:
    """A WebP of three frames."""
    image = photo() if opaque else photo().convert("RGBA")
    if not opaque:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    moved = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return encoded(image, "WEBP", save_all=True, append_images=[moved, image])


def frame_of_jpeg(picture: bytes) -> int | None:
    """Return where a JPEG has its height, and two bytes behind it its width."""
    place = 2
    while place + 9 < len(picture) and picture[place] == 0xFF:
        if picture[place + 1] in (0xC0, 0xC1, 0xC2):
            return place + 5
        place += 2 + int.from_bytes(picture[place + 2 : place + 4], "big")
    return None


def resized(picture: bytes, which: int, size: int) -> bytes:
    """Write another width or height into the head of a picture; a PNG's checksum fits again."""
    data = bytearray(picture)
    if picture.startswith(b"\xff\xd8"):
        frame = frame_of_jpeg(picture)
        places = [] if frame is None else [(frame, ">H"), (frame + 2, ">H")]
    else:
        places = next((at for head, at in _DIMENSIONS.items() if picture.startswith(head)), [])
    if not places:
        return picture
    place, form = places[which % len(places)]
    width = struct.calcsize(form)
    if len(data) >= place + width:
        struct.pack_into(form, data, place, size % 256**width)
    if picture.startswith(b"\x89PN") and len(data) > 33:
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


@st.composite
def damaged(draw: Any, originals: list[bytes]) -> bytes:
    """Draw a picture that is cut off, spliced with another, resized in its head, or noisy."""
    picture: bytes = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["cut", "splice", "flip", "put", "repeat", "resize", "resize"]))
        place = draw(st.integers(0, len(picture)))
        if kind == "cut":
            picture = picture[:place]
        elif kind == "splice":
            other = draw(st.sampled_from(originals))
            picture = picture[:place] + other[draw(st.integers(0, len(other))) :]
        elif kind == "flip" and place < len(picture):
            flipped = bytes([picture[place] ^ draw(st.integers(1, 255))])
            picture = picture[:place] + flipped + picture[place + 1 :]
        elif kind == "put":
            picture = picture[:place] + draw(st.binary(max_size=6)) + picture[place:]
        elif kind == "repeat":
            part = picture[place : place + draw(st.integers(1, 64))]
            picture = picture[:place] + part * draw(st.integers(1, 5)) + picture[place:]
        elif kind == "resize":
            picture = resized(picture, draw(st.integers(0, 4)), draw(st.sampled_from(SIZES)))
    return picture
