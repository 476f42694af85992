"""The graph's reading of EXIF is the training side's, on sound, damaged and random files."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl.data import exif


def exif_jpeg(orientation: int, order: str = "<", before: bytes = b"") -> bytes:
    """The first bytes of a JPEG, up to its picture data."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    tiff = mark + struct.pack(order + "IH", 8, 2)
    tiff += struct.pack(order + "HHIHH", 0x0100, 3, 1, 48, 0)
    tiff += struct.pack(order + "HHIHH", exif.ORIENTATION_TAG, 3, 1, orientation, 0)
    content = b"Exif\0\0" + tiff + b"\0\0\0\0"
    app1 = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return b"\xff\xd8" + before + app1 + b"\xff\xda\0\x04ab"


@pytest.fixture(scope="module")
def in_graph() -> Callable[[bytes], int]:
    import tensorflow as tf

    from tl.export.orientation import jpeg_orientation

    read: Any = tf.function(jpeg_orientation, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda data: int(read(data))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_graph_reads_the_orientation_in_both_byte_orders(
    in_graph: Callable[[bytes], int], orientation: int, order: str
) -> None:
    data = exif_jpeg(orientation, order)

    expected = orientation if 1 <= orientation <= 8 else 1
    assert in_graph(data) == exif.jpeg_orientation(data) == expected


def test_graph_finds_exif_behind_other_segments(in_graph: Callable[[bytes], int]) -> None:
    other = b"\xff\xe0" + struct.pack(">H", 18) + bytes(16)
    long = b"\xff\xe2" + struct.pack(">H", 65_535) + bytes(65_533)
    data = exif_jpeg(6, before=other + 2 * long)

    assert in_graph(data) == exif.jpeg_orientation(data) == 6


def test_graph_does_not_walk_an_endless_chain_of_segments(
    in_graph: Callable[[bytes], int],
) -> None:
    for count, expected in ((exif.MAX_SEGMENTS - 1, 6), (exif.MAX_SEGMENTS, 1)):
        data = exif_jpeg(6, before=count * b"\xff\xe0\0\x02")

        assert in_graph(data) == exif.jpeg_orientation(data) == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    orientation=st.integers(0, 9),
    order=st.sampled_from("<>"),
    cut=st.integers(0, 70),
    changes=st.lists(st.tuples(st.integers(0, 69), st.integers(0, 255)), max_size=4),
)
def test_damaged_files_mean_the_same_to_both(
    in_graph: Callable[[bytes], int],
    orientation: int,
    order: str,
    cut: int,
    changes: list[tuple[int, int]],
) -> None:
    data = bytearray(exif_jpeg(orientation, order))
    for place, value in changes:
        data[place % len(data)] = value
    damaged = bytes(data[: len(data) - cut] if cut < 40 else data)

    assert in_graph(damaged) == exif.jpeg_orientation(damaged)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(tail=st.binary(max_size=80))
def test_random_bytes_mean_the_same_to_both(in_graph: Callable[[bytes], int], tail: bytes) -> None:
    for data in (tail, b"\xff\xd8" + tail, b"\xff\xd8\xff\xe1\0\x40Exif\0\0II*\0\x08\0\0\0" + tail):
        assert in_graph(data) == exif.jpeg_orientation(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_alike(orientation: int) -> None:
    import tensorflow as tf

    from tl.export.orientation import turn_upright

    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)

    turned = turn_upright(tf.constant(image), tf.constant(orientation)).numpy()

    assert np.array_equal(turned, exif.turn_upright(image, orientation))
