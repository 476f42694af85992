import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tl.data.exif import HEADER_BYTES, MAX_SEGMENTS, UPRIGHT, jpeg_orientation, turn_upright

ORIENTATIONS = range(1, 9)
PICTURE_DATA = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(20)


def tiff(orientation: int, order: str = "<", *, before: int = 0, kind: int = 3) -> bytes:
    """An EXIF directory whose orientation comes after ``before`` other entries."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = [struct.pack(order + "HHII", 0x010E, 2, 1, 0)] * before
    entries.append(struct.pack(order + "HHIHH", 0x0112, kind, 1, orientation, 0))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return mark + struct.pack(order + "I", 8) + directory


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + PICTURE_DATA


def exif(block: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + block)


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_read_in_both_byte_orders(orientation: int, order: str) -> None:
    assert jpeg_orientation(jpeg(exif(tiff(orientation, order)))) == orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_that_pillow_writes_is_read(orientation: int) -> None:
    tags = Image.Exif()
    tags[0x010F] = "a maker"
    tags[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=tags)

    assert jpeg_orientation(buffer.getvalue()) == orientation


def test_exif_need_not_be_the_first_segment_nor_orientation_the_first_entry() -> None:
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    comment = segment(0xFE, b"x" * 60_000)

    assert jpeg_orientation(jpeg(JFIF, comment, xmp, exif(tiff(6, before=9)))) == 6


def test_first_exif_block_counts() -> None:
    assert jpeg_orientation(jpeg(exif(tiff(3)), exif(tiff(6)))) == 3


DAMAGED = {
    "nothing": b"",
    "no jpeg": b"\x89PNG\r\n\x1a\n" + exif(tiff(6)),
    "no segment": b"\xff\xd8",
    "no exif": jpeg(JFIF),
    "exif after the picture begins": b"\xff\xd8" + PICTURE_DATA + exif(tiff(6)),
    "orientation 0": jpeg(exif(tiff(0))),
    "orientation 9": jpeg(exif(tiff(9))),
    "orientation as a long": jpeg(exif(tiff(6, kind=4))),
    "unknown byte order": jpeg(exif(b"XX" + tiff(6)[2:])),
    "wrong magic": jpeg(exif(b"II+\0" + tiff(6)[4:])),
    "directory outside": jpeg(exif(tiff(6)[:4] + struct.pack("<I", 9999) + tiff(6)[8:])),
    "empty block": jpeg(exif(b"")),
    "header only": jpeg(exif(tiff(6)[:8])),
    "directory cut off": jpeg(exif(tiff(6)[:15])),
    "entry cut off": jpeg(exif(tiff(6)[:21])),
    "an entry promised, none there": jpeg(exif(tiff(6)[:8] + b"\5\0")),
    "length of 1": b"\xff\xd8\xff\xe0\0\1" + exif(tiff(6)) + PICTURE_DATA,
    "no marker where one should be": b"\xff\xd8" + JFIF + b"\0" + exif(tiff(6)) + PICTURE_DATA,
    "segments without end": b"\xff\xd8" + JFIF * (MAX_SEGMENTS + 1) + exif(tiff(6)) + PICTURE_DATA,
    "file cut off in the block": jpeg(exif(tiff(6)))[:24],
    "beyond what the graph looks at": jpeg(*[segment(0xE2, bytes(65_000))] * 5, exif(tiff(6))),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_cannot_be_read_is_upright(data: bytes) -> None:
    assert jpeg_orientation(data) == UPRIGHT


def test_block_across_the_end_of_the_header_is_read_as_far_as_the_header_goes() -> None:
    # The served graph looks at HEADER_BYTES; training must not look further.
    before = [segment(0xE2, bytes(65_000))] * 4
    used = 2 + sum(map(len, before))
    late = jpeg(*before, segment(0xE2, bytes(HEADER_BYTES - used - 20)), exif(tiff(6)))
    early = jpeg(*before, segment(0xE2, bytes(HEADER_BYTES - used - 60)), exif(tiff(6)))

    assert jpeg_orientation(late) == UPRIGHT
    assert jpeg_orientation(early) == 6


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turn_upright_agrees_with_pillow(orientation: int) -> None:
    image: NDArray[np.uint8] = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    picture = Image.fromarray(image)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))

    upright = turn_upright(image, orientation)

    np.testing.assert_array_equal(upright, expected)
    assert upright.flags.c_contiguous


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    assert jpeg_orientation(b"\xff\xd8" + data) in ORIENTATIONS
    assert jpeg_orientation(jpeg(exif(data))) in ORIENTATIONS
    assert jpeg_orientation(jpeg(exif(b"II*\0\x08\0\0\0" + data))) in ORIENTATIONS


@given(
    st.integers(1, 8),
    st.sampled_from("<>"),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=6),
    st.integers(0, 120),
)
@settings(max_examples=300)
def test_damaged_headers_never_raise(
    orientation: int, order: str, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(jpeg(JFIF, exif(tiff(orientation, order, before=2))))
    for at, value in changes:
        data[at % len(data)] = value

    assert jpeg_orientation(bytes(data)) in ORIENTATIONS
    assert jpeg_orientation(bytes(data[:length])) in ORIENTATIONS
