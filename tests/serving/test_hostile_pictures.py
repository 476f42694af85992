"""Small pictures that unpack to very much, or that TensorFlow does not survive, are refused."""

import base64
import io
import struct
import time
import zlib
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2

from serving.errors import InvalidArgument, TooLarge
from serving.picture_checks import PictureSize, check_pictures, size_of
from serving.tensor_proto import array_to_proto

from .picture_files import JXL, encoded, moving_webp, photo


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress(bytes((width + 1) * height), 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif_of(screen: tuple[int, int], frames: list[tuple[int, int]]) -> bytes:
    head, parts = b"", []
    for size in frames:
        whole = encoded(Image.new("P", size), "GIF")
        start = whole.index(b",\0\0\0\0")
        head = whole[:6] + struct.pack("<HH", *screen) + whole[10:start]
        parts.append(whole[start:-1])
    return head + b"".join(parts) + b";"


def webp_of(width: int, height: int, count: int) -> bytes:
    """An animation whose frames are a point of a large canvas."""

    def number(value: int) -> bytes:
        return value.to_bytes(3, "little")

    dot = encoded(Image.new("RGB", (2, 2), "red"), "WEBP", lossless=True)[12:]
    frame = number(0) + number(0) + number(1) + number(1) + number(9) + b"\0" + dot
    parts = (
        b"VP8X" + struct.pack("<IB3x", 10, 0x12) + number(width - 1) + number(height - 1)
        + b"ANIM" + struct.pack("<I6x", 6)
        + (b"ANMF" + struct.pack("<I", len(frame)) + frame) * count
    )  # fmt: skip
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def noisy_jpeg() -> bytes:
    """A JPEG of 65,500 x 65,500 pixels, with noise before its size, which libjpeg passes over."""
    picture = encoded(photo(), "JPEG")
    frame = picture.index(b"\xff\xc0")
    size = struct.pack(">HH", 65_500, 65_500)
    noise = b"\0\xff\0\1\xff\xd0\xff\xff"
    return picture[:frame] + noise + picture[frame : frame + 5] + size + picture[frame + 9 :]


def jxl_of(side: int) -> bytes:
    """The beginning of a JPEG XL of a square."""
    bits = 0b110 | (side - 1) << 3 | 1 << 33
    return b"\xff\n" + bits.to_bytes(5, "little") + JXL[0][4:]


BOMBS = {
    "PNG": (png_of(12_000, 12_000), "12,000 x 12,000 pixels"),
    "JPEG with noise": (noisy_jpeg(), "65,500 x 65,500 pixels"),
    "GIF of many frames": (gif_of((999, 999), [(999, 999)] * 200), "200 frames of 999 x 999"),
    "GIF larger than its screen": (gif_of((9, 9), [(10_001, 10_000)]), "10,001 x 10,000"),
    "GIF of two strips": (
        gif_of((9, 9), [(60_000, 1), (1, 60_000)]),
        "2 frames of 60,000 x 60,000",
    ),
    "WebP of many frames": (webp_of(2000, 2000, 60), "60 frames of 2,000 x 2,000"),
    "JPEG XL": (jxl_of(30_000), "30,000 x 30,000"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_picture_that_unpacks_to_too_much_is_refused(server: Any, kind: str) -> None:
    bomb, words = BOMBS[kind]
    assert len(bomb) < 2_000_000

    status, answer = server.call("/v1/models/flowers:predict", bomb)

    assert status == 413
    assert f"a picture of {words}" in answer["error"]


def test_picture_of_too_many_pixels_is_refused_in_a_batch_and_in_an_example(server: Any) -> None:
    bomb = BOMBS["PNG"][0]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "flowers"
    request.inputs["image_bytes"].CopyFrom(array_to_proto(np.array([b"a", bomb], object)))
    example = example_pb2.Example()
    example.features.feature["image_bytes"].bytes_list.value.extend([b"a", bomb])
    with server.channel as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            call(request.SerializeToString(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    # Whatever is in front of it.
    for data in (example.SerializeToString(), b"BM" + bytes(77) + example.SerializeToString()):
        with pytest.raises(TooLarge):
            check_pictures([data], 10**8)


@pytest.mark.parametrize("model", ["animals", "ages"])
def test_classify_and_regress_refuse_pictures_of_too_many_pixels(exported: Any, model: str) -> None:
    method = {"animals": "classify", "ages": "regress"}[model]
    words = base64.b64encode(BOMBS["PNG"][0]).decode()
    document = {"signature_name": method, "examples": [{"image_bytes": {"b64": words}}]}

    status, answer = exported.call(f"/v1/models/{model}:{method}", document)

    assert (status, answer["error"][:12]) == (413, "a picture of")
    document["examples"] = [{"image_bytes": {"b64": base64.b64encode(JXL[0]).decode()}}]
    assert exported.call(f"/v1/models/{model}:{method}", document)[0] == 200


def test_animated_webp_that_ends_tensorflow_is_refused(exported: Any) -> None:
    for _ in range(20):
        status, answer = exported.call("/v1/models/animals:predict", moving_webp(opaque=True))
        assert status == 400
        assert "an animated WebP without alpha" in answer["error"]
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "animals", "classify"
    feature = request.input.example_list.examples.add().features.feature["image_bytes"]
    feature.bytes_list.value.append(moving_webp(opaque=True))
    with exported.channel as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Classify")
        with pytest.raises(grpc.RpcError, match="an animated WebP without alpha"):
            call(request.SerializeToString(), timeout=20)
    assert exported.call("/v1/models/animals:predict", moving_webp(opaque=False))[0] == 200


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("PNG", {}), ("GIF", {}), ("BMP", {}), ("JPEG", {}), ("JPEG", {"progressive": True}),
     ("WEBP", {}), ("WEBP", {"lossless": True}),
     ("WEBP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"})],
)  # fmt: skip
def test_size_is_read_from_the_head_of_every_kind(kind: str, settings: dict[str, Any]) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (321, 123), "red").save(stream, kind, **settings)
    picture = stream.getvalue()

    assert size_of(picture) == PictureSize(321, 123)
    for end in range(0, min(len(picture), 64)):
        size_of(picture[:end])  # cut off: no error
    check_pictures([picture, b"no picture", 3], 321 * 123)


def test_size_of_jpeg_xl_is_read_also_in_boxes_and_in_pieces() -> None:
    stream, boxed = JXL[0], JXL[1]
    at = boxed.index(b"jxlc") - 4
    pieces = [
        struct.pack(">I4sI", 12 + len(part), b"jxlp", number) + part
        for number, part in enumerate([stream[:1], stream[1:3], stream[3:]])
    ]

    assert size_of(stream) == PictureSize(64, 64)
    assert size_of(boxed) == PictureSize(321, 123)
    assert size_of(boxed[:at] + b"".join(pieces)) == PictureSize(64, 64)
    for end in range(len(boxed)):
        size_of(boxed[:end])


@pytest.mark.parametrize(
    "picture",
    [
        b"\xff\xd8\xff" + b"\xe1\0\2\xff" * 3_000_000,
        b"GIF89a\1\0\1\0\0\0\0," + bytes(8) + b"\0\2" + b"\1a" * 5_000_000,
        JXL[1][:12] + b"\0\0\0\x08free" * 1_000_000,
    ],
    ids=["JPEG", "GIF", "JPEG XL"],
)
def test_time_to_find_a_size_is_bounded(picture: bytes) -> None:
    began_s = time.monotonic()

    with pytest.raises(InvalidArgument):
        check_pictures([picture], 10**8)

    assert time.monotonic() - began_s < 2
