"""Pictures that would end the server are refused by their first bytes, before they are decoded.

A few kilobytes can promise terabytes, and TensorFlow's decoders believe them. So what is read here
is what its decoders read, also where a file is damaged on purpose: libjpeg passes over noise
between segments, giflib unpacks all frames of whatever size, libwebp gives each frame a canvas.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from tensorflow.core.example import example_pb2

from serving.errors import InvalidArgument, TooLarge
from serving.pictures import is_picture

# Each costs a step of Python; what cameras and programs write has few, or full ones.
_MOST_JPEG_SEGMENTS = 10_000
_MOST_GIF_BLOCKS = 2_000_000
_LEAST_BYTES = 10  # of a picture; shorter text need not be searched for one

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_NO_SIZES = (0xC4, 0xC8, 0xCC)  # among the markers that begin a frame
_ALONE = (0x01, *range(0xD0, 0xD8))  # markers that no length follows
_END, _SCAN = 0xD9, 0xDA
# Of width to height, by number.
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JXL_HEADER_BYTES = 16
_ANIMATED, _ALPHA = 0x02, 0x10  # in the head of a WebP


@dataclass(frozen=True, slots=True)
class PictureSize:
    """Width and height in pixels, and how often they are unpacked."""

    width: int
    height: int
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.width * self.height * self.frames

    def __str__(self) -> str:
        one = f"{self.width:,} x {self.height:,} pixels"
        return one if self.frames == 1 else f"{self.frames:,} frames of {one}"


def check_pictures(values: Iterable[object], most_pixels: int) -> None:
    """Refuse pictures that unpack to too much, or that TensorFlow does not survive.

    Args:
        values: of a tensor of strings; pictures are looked for in those that are tf.Examples, too.
        most_pixels: of a picture.

    Raises:
        TooLarge: with the size.
        InvalidArgument: an animated WebP that says that it is opaque, or a picture whose size
            cannot be found in reasonable time.
    """
    for value in values:
        if not isinstance(value, bytes) or len(value) < _LEAST_BYTES:
            continue
        for picture in _pictures_in(value):
            if _is_opaque_animation(picture):
                raise InvalidArgument(
                    "an animated WebP without alpha, for which TensorFlow's decoder writes beyond "
                    "its memory: send one frame, as PNG or WebP"
                )
            size = size_of(picture)
            if size is not None and size.pixels > most_pixels:
                raise TooLarge(
                    f"a picture of {size}: this server decodes up to {most_pixels:,} "
                    "(--max_picture_pixels)"
                )


def size_of(picture: bytes) -> PictureSize | None:
    """Read the size of a picture; None where it has none.

    Raises:
        InvalidArgument: it cannot be found in reasonable time.
    """
    try:
        if picture.startswith(b"\x89PNG"):
            return PictureSize(*struct.unpack_from(">II", picture, 16))
        if picture.startswith(b"GIF8"):
            return _size_of_gif(picture)
        if picture.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", picture, 18)
            return PictureSize(abs(width), abs(height))
        if picture.startswith(b"\xff\xd8"):
            return _size_of_jpeg(picture)
        if picture.startswith(b"RIFF"):
            return _size_of_webp(picture)
        if picture.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
            return _size_of_jxl(_codestream(picture))
    except (struct.error, IndexError):
        pass  # cut off: the model says so
    return None


def _pictures_in(value: bytes) -> Iterator[bytes]:
    if is_picture(value):
        yield value
    # Whatever it begins with: a field that nobody knows may come first.
    try:
        example = example_pb2.Example.FromString(value)
    except DecodeError:
        return
    for feature in example.features.feature.values():
        yield from filter(is_picture, feature.bytes_list.value)


def _is_opaque_animation(picture: bytes) -> bool:
    """Tell whether a WebP's frames are written with alpha where there is memory for none.

    TensorFlow (2.21) takes the number of channels from the head, and 4 for each frame.
    """
    return (
        picture.startswith(b"RIFF")
        and picture[12:16] == b"VP8X"
        and len(picture) > 20
        and picture[20] & (_ANIMATED | _ALPHA) == _ANIMATED
    )


def _size_of_jpeg(picture: bytes) -> PictureSize | None:
    place = 2
    for _ in range(_MOST_JPEG_SEGMENTS):
        found = _JPEG_MARKER.search(picture, place)
        if found is None or (kind := found[1][0]) in (_END, _SCAN):
            return None
        place = found.end()
        if 0xC0 <= kind <= 0xCF and kind not in _NO_SIZES:
            height, width = struct.unpack_from(">HH", picture, place + 3)
            return PictureSize(width, height)
        if kind not in _ALONE:
            place += struct.unpack_from(">H", picture, place)[0]
    raise InvalidArgument(f"a JPEG with {_MOST_JPEG_SEGMENTS:,} segments before its size")


def _size_of_gif(picture: bytes) -> PictureSize:
    """Give the largest frame as often as there are frames, or the screen where there are none."""
    width, height = struct.unpack_from("<HH", picture, 6)
    widths, heights = [], []
    try:
        place = 13 + _colours_bytes(picture[10])
        blocks = _MOST_GIF_BLOCKS
        while blocks > 0 and picture[place] in b"!,":
            if picture[place] == ord("!"):
                place += 2
            else:
                *_, frame_width, frame_height, flags = struct.unpack_from(
                    "<HHHHB", picture, place + 1
                )
                widths.append(frame_width)
                heights.append(frame_height)
                place += 11 + _colours_bytes(flags)
            while blocks > 0 and (length := picture[place]):
                place += 1 + length
                blocks -= 1
            place += 1
            blocks -= 1
    except (struct.error, IndexError):
        pass  # cut off: what is there is unpacked
    else:
        if blocks <= 0:
            raise InvalidArgument(f"a GIF of more than {_MOST_GIF_BLOCKS:,} blocks")
    if not widths:
        return PictureSize(width, height)
    return PictureSize(max(widths), max(heights), len(widths))


def _colours_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _size_of_webp(picture: bytes) -> PictureSize | None:
    kind = picture[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(picture[at : at + 3], "little") for at in (24, 27))
        is_animated = picture[20] & _ANIMATED
        return PictureSize(
            width + 1, height + 1, max(1, picture.count(b"ANMF")) if is_animated else 1
        )
    if kind == b"VP8L":
        bits = int.from_bytes(picture[21:25], "little")
        return PictureSize((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", picture, 26)
        return PictureSize(width & 0x3FFF, height & 0x3FFF)
    return None


def _codestream(picture: bytes) -> bytes:
    """Return the beginning of a JPEG XL's codestream, which may be in pieces in a file of boxes."""
    if picture.startswith(b"\xff\x0a"):
        return picture[:_JXL_HEADER_BYTES]
    place, stream = 0, b""
    for _ in range(_MOST_JPEG_SEGMENTS):
        size, kind = struct.unpack_from(">I4s", picture, place)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", picture, place + 8)
            head = 16
        end = place + size if size else len(picture)
        content = picture[place + head : min(end, place + head + 4 + _JXL_HEADER_BYTES)]
        if kind == b"jxlc":
            return content
        if kind == b"jxlp":
            stream += content[4:]
            if len(stream) >= _JXL_HEADER_BYTES:
                return stream
        if end <= place or end >= len(picture):
            return stream
        place = end
    raise InvalidArgument(f"a JPEG XL with {_MOST_JPEG_SEGMENTS:,} boxes before its size")


def _size_of_jxl(stream: bytes) -> PictureSize | None:
    if not stream.startswith(b"\xff\x0a"):
        return None
    bits, place = int.from_bytes(stream[2:_JXL_HEADER_BYTES], "little"), 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return bits >> (place - count) & ((1 << count) - 1)

    is_small = read(1)

    def length() -> int:
        return 8 * (read(5) + 1) if is_small else read((9, 13, 18, 30)[read(2)]) + 1

    height = length()
    ratio = read(3)
    if not ratio:
        return PictureSize(length(), height)
    across, down = _JXL_RATIOS[ratio - 1]
    return PictureSize(height * across // down, height)
