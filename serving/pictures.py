"""Pictures that come as they are, without JSON around them.

    curl --data-binary @cat.jpg http://localhost:8501/v1/models/cats:predict

A body that begins as a picture does is one: no JSON begins so, and TF Serving would refuse it, so
no request that it answers has another meaning here.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from serving.errors import InvalidArgument, TooLarge
from serving.json_tensor import Array

# JPEG, PNG, GIF, BMP, JPEG XL as a stream and in its box.
_BEGINNINGS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ",
)  # fmt: skip


def is_picture(body: bytes) -> bool:
    """Tell whether a body is a picture by its first bytes."""
    is_webp = body[:4] == b"RIFF" and body[8:12] == b"WEBP"
    return is_webp or body.startswith(_BEGINNINGS)


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Read width and height in pixels from the head of a picture; None where it has none."""
    try:
        if picture.startswith(b"\x89PNG"):
            return struct.unpack_from(">II", picture, 16)
        if picture.startswith(b"GIF8"):
            return struct.unpack_from("<HH", picture, 6)
        if picture.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", picture, 18)
            return width, abs(height)
        if picture.startswith(b"\xff\xd8"):
            return _size_of_jpeg(picture)
        if picture[:4] == b"RIFF":
            return _size_of_webp(picture)
    except (struct.error, IndexError):
        pass  # cut off: the model says so
    return None


def check_sizes(values: Iterable[object], most_pixels: int) -> None:
    """Refuse pictures that unpack to more than a server is to decode.

    Raises:
        TooLarge: with the size.
    """
    for value in values:
        if not isinstance(value, bytes) or not is_picture(value) or not (size := size_of(value)):
            continue
        if size[0] * size[1] > most_pixels:
            raise TooLarge(
                f"a picture of {size[0]:,} x {size[1]:,} pixels: this server decodes up to "
                f"{most_pixels:,} (--max_picture_pixels)"
            )


def _size_of_jpeg(picture: bytes) -> tuple[int, int] | None:
    place = 2
    while picture[place] == 0xFF:
        kind = picture[place + 1]
        if kind == 0xFF:  # filling
            place += 1
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # start of a frame
            height, width = struct.unpack_from(">HH", picture, place + 5)
            return width, height
        else:
            place += 2 + struct.unpack_from(">H", picture, place + 2)[0]
    return None


def _size_of_webp(picture: bytes) -> tuple[int, int] | None:
    kind = picture[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(picture[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L":
        bits = int.from_bytes(picture[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", picture, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def picture_inputs(pictures: Sequence[bytes], types: Mapping[str, str]) -> dict[str, Array]:
    """Return pictures as the one input of a signature that takes bytes.

    Args:
        pictures: encoded.
        types: input name -> TensorFlow's name of its type.

    Raises:
        InvalidArgument: no picture, or a signature of other inputs.
    """
    if not pictures:
        raise InvalidArgument("the form has no files: send each picture as a file of it")
    if list(types.values()) != ["string"]:
        wanted = ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items()))
        raise InvalidArgument(
            f"pictures need a signature with one input of strings; this one takes {wanted}"
        )
    batch = np.empty(len(pictures), object)
    batch[:] = pictures
    return {next(iter(types)): batch}
