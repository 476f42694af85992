"""Training and the served graph see the same picture: each rule that is written twice, compared."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tl.data import exif
from tl.data.decode import decode_picture, servable_bytes
from tl.data.resize import centre_box, centre_view
from tl.export import graph, orientation

Files = dict[str, bytes]

decode_image = tf.function(
    graph.decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)
graph_orientation = tf.function(
    orientation.jpeg_orientation, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)


def test_graph_decodes_the_servable_bytes_of_every_kind_to_the_same_pixels(
    file_kind: str, files: Files
) -> None:
    expected = decode_picture(files[file_kind])

    image = decode_image(servable_bytes(files[file_kind])).numpy()

    assert image.shape == expected.shape
    # The contract allows 4 levels; only the colour conversion of CMYK JPEG needs one of them.
    allowed = 1 if "cmyk" in file_kind else 0
    assert np.abs(image.astype(int) - expected).max() <= allowed


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_graph_turns_the_same_files_as_training(
    kind: str, turn: int, photo: NDArray[np.uint8]
) -> None:
    tags = Image.Exif()
    tags[0x0112] = turn
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, kind, exif=tags.tobytes())
    data = buffer.getvalue()

    np.testing.assert_array_equal(decode_image(data).numpy(), decode_picture(data))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((375, 500), (224, 224)), ((500, 375), (96, 160)), ((8, 8), (32, 32)), ((1, 40), (16, 16)),
        ((40, 1), (16, 16)), ((1, 1), (5, 7)), ((37, 53), (37, 53)), ((64, 63), (63, 64)),
        ((300, 301), (299, 299)), ((28, 28), (96, 96)),
    ],
)  # fmt: skip
def test_graph_resizes_to_within_one_level(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = np.random.default_rng(5).integers(0, 256, (*shape, 3), np.uint8)
    top, left, height, width = centre_box(shape, size)
    centre = image[top : top + height, left : left + width]
    resized = np.round(tf.image.resize(centre, size, method="bilinear", antialias=True).numpy())

    view = centre_view(image, size).astype(int)
    served = graph.centre_view(tf.constant(image), size).numpy().astype(int)

    assert np.abs(view - resized).max() <= 1
    assert np.abs(view - served).max() <= 1


@given(
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@settings(max_examples=200, deadline=None)
def test_graph_cuts_the_same_box(shape: tuple[int, int], size: tuple[int, int]) -> None:
    # Each pixel tells its place; what the graph is about to resize is looked at.
    image = np.zeros((*shape, 3), np.uint8)
    image[:, :, 0] = np.arange(shape[0])[:, None]
    image[:, :, 1] = np.arange(shape[1])[None, :]
    cut: list[NDArray[np.uint8]] = []

    def resize(centre: Any, size: tuple[int, int], **options: object) -> Any:
        cut.append(centre.numpy())
        return tf.zeros([*size, 3])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.image, "resize", resize)
        graph.centre_view(tf.constant(image), size)

    top, left, height, width = centre_box(shape, size)
    np.testing.assert_array_equal(cut[0], image[top : top + height, left : left + width])


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(turn: int, order: str, before: bytes = b"") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(order + "HHII", 0x010E, 2, 1, 0)
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, turn, 0)
    block = mark + struct.pack(order + "IH", 8, 2) + other + entry + bytes(4)
    return b"\xff\xd8" + before + segment(0xE1, b"Exif\0\0" + block) + b"\xff\xda\0\x08" + bytes(20)


def agree(data: bytes) -> None:
    assert int(graph_orientation(data)) == exif.jpeg_orientation(data), data[:200].hex()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(10))
def test_orientation_of_sound_files_agrees(turn: int, order: str) -> None:
    agree(jpeg(turn, order))
    agree(jpeg(turn, order, before=segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")))
    assert int(graph_orientation(jpeg(turn, order))) == (turn if 1 <= turn <= 8 else 1)


@pytest.mark.parametrize("missing", [0, 1, 2, 10, 17, 18, 19, 30, 37, 38, 39, 45, 60, 70, 200])
def test_orientation_of_a_file_with_metadata_up_to_the_graphs_limit_agrees(missing: int) -> None:
    assert exif.HEADER_BYTES == orientation.HEADER_BYTES
    blocks = b"".join([segment(0xE2, bytes(65_000))] * 4)
    filler = segment(0xE2, bytes(orientation.HEADER_BYTES - len(blocks) - 6 - missing))

    agree(jpeg(6, "<", before=blocks + filler))


@pytest.mark.parametrize("count", [30, 31, 32, 33])
def test_orientation_after_many_segments_agrees(count: int) -> None:
    agree(jpeg(6, "<", before=segment(0xFE, b"x") * count))


def test_orientation_of_every_cut_file_agrees() -> None:
    for order in "<>":
        data = jpeg(6, order)
        for length in range(2, len(data)):
            agree(data[:length])


@given(
    st.integers(1, 8),
    st.sampled_from("<>"),
    st.lists(st.tuples(st.integers(2, 80), st.integers(0, 255)), min_size=1, max_size=4),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_orientation_of_damaged_files_agrees(
    turn: int, order: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(jpeg(turn, order))
    for at, value in changes:
        data[at % len(data)] = value
    agree(b"\xff\xd8" + bytes(data[2:]))


@given(st.binary(max_size=120), st.sampled_from(["", "exif", "little", "big"]))
@settings(max_examples=300, deadline=None)
def test_orientation_of_random_files_agrees(rest: bytes, beginning: str) -> None:
    begin = {
        "": b"",
        "exif": b"\xff\xe1\0\x50Exif\0\0",
        "little": b"\xff\xe1\0\x50Exif\0\0II*\0\x08\0\0\0\x02\0",
        "big": b"\xff\xe1\0\x50Exif\0\0MM\0*\0\0\0\x08\0\x02",
    }[beginning]
    agree(b"\xff\xd8" + begin + rest)
