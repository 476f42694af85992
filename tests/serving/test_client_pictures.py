"""Every kind of picture comes to bytes of the same pixels, or to words that say what to do."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from serving.client_pictures import batches_of, encode_picture
from serving.errors import InvalidArgument

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image


@pytest.mark.parametrize(
    "array",
    [PIXELS, PIXELS[:, :, :1], PIXELS[:, :, 0], PIXELS[::-1, ::2], np.asfortranarray(PIXELS)],
    ids=["colour", "grey of 3 axes", "grey", "a view", "columns first"],
)
def test_array_comes_back_with_its_pixels(array: Any) -> None:
    decoded = np.asarray(decode(encode_picture(array)))

    np.testing.assert_array_equal(decoded, array[..., 0] if array.shape[2:] == (1,) else array)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_image_comes_back_with_its_pixels(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)

    decoded = decode(encode_picture(image))
    np.testing.assert_array_equal(
        np.asarray(decoded.convert("RGB")), np.asarray(image.convert("RGB"))
    )


def test_photograph_is_turned_as_the_model_turns_its_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)

    with Image.open(tmp_path / "a.jpg") as image:
        decoded = decode(encode_picture(image))
        np.testing.assert_array_equal(decoded, ImageOps.exif_transpose(image))
    assert decoded.size == (5, 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PIXELS.astype(np.float32) / 255, r"float32: pixels are uint8.*astype\(np.uint8\)"),
        (lambda: PIXELS[None], r"is a batch: pass list\(array\)"),
        (lambda: np.zeros((5, 7, 4), np.uint8), r"drop alpha with array\[..., :3\]"),
        (lambda: np.zeros((3, 5, 7), np.uint8), r"\(3, 5, 7\): a picture is \(height, width, 3\)"),
        (lambda: np.zeros((0, 7, 3), np.uint8), "has no pixels"),
        (lambda: np.zeros(7, np.uint8), "a picture is"),
        (lambda: Image.new("F", (2, 2)), 'mode "F"'),
        (lambda: Image.new("I", (2, 2)), 'mode "I" .* scale'),
        (lambda: b"", "no bytes"),
        (lambda: memoryview(b""), "no bytes"),
        (lambda: "gone.jpg", "No such file"),
        (lambda: "a\0b", "null"),
        (lambda: Path(__file__).parent, "Is a directory"),
        (lambda: 5, "int is no picture"),
        (lambda: {"b64": ""}, "dict is no picture"),
    ],
)
def test_what_cannot_be_sent_says_what_to_do(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        encode_picture(make())


def test_damaged_image_is_an_error_of_its_own(tmp_path: Path) -> None:
    Image.fromarray(np.tile(PIXELS, (40, 40, 1))).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as image,
        pytest.raises(InvalidArgument, match="cannot be encoded: .*truncated"),
    ):
        encode_picture(image)


def test_array_without_pillow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InvalidArgument, match="pip install pillow"):
        encode_picture(PIXELS)
    assert encode_picture(b"a") == b"a"


def test_batches_take_from_an_iterator_only_what_they_need() -> None:
    source = iter([b"a", b"b", b"c", b"d", b"e"])
    batches = batches_of(source, 2)

    first = next(batches)
    assert (first.first, list(first.pictures)) == (0, [b"a", b"b"])
    assert next(source) == b"c"
    assert [batch.first for batch in batches] == [2]


def test_text_is_one_path_and_a_list_of_text_is_several() -> None:
    assert [list(batch.pictures) for batch in batches_of("ab", 8)] == [["ab"]]
    assert [list(batch.pictures) for batch in batches_of(["a", "b"], 8)] == [["a", "b"]]
