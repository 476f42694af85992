import io
import random
import resource
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tl.data.decode import (
    check_size,
    decode_picture,
    picture_kind,
    picture_size,
    servable_bytes,
)
from tl.errors import DatasetError

Pixels = NDArray[np.uint8]
Files = dict[str, bytes]
# Damaged files make Pillow warn (pytest's own filters come after those of `tl.data.decode`).
pillow_may_warn = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL")

CONVERTED = {
    "jpeg cmyk without adobe", "gif frame beside", "bmp 32-bit fields shifted", "bmp of photoshop",
    "bmp os/2", "bmp palette", "bmp 1-bit", "bmp grey", "webp animated", "tiff rgb", "tiff lzw",
    "tiff grey", "tiff 16-bit grey", "tiff palette", "tiff rgba", "tiff 16-bit rgb", "ppm", "pgm",
    "pgm 16-bit", "jpeg 2000", "avif",
}  # fmt: skip


def test_every_kind_of_file_decodes_to_the_rgb_pixels_that_it_means(
    file_kind: str, files: Files, meanings: dict[str, tuple[Pixels, int]]
) -> None:
    pixels, tolerance = meanings[file_kind]

    image = decode_picture(files[file_kind])

    assert image.dtype == np.uint8
    assert image.shape == pixels.shape
    assert np.abs(image.astype(int) - pixels).max() <= tolerance


def test_header_alone_gives_the_size(
    file_kind: str, files: Files, meanings: dict[str, tuple[Pixels, int]]
) -> None:
    assert picture_size(files[file_kind]) == meanings[file_kind][0].shape[:2]


def test_servable_bytes_mean_the_same_pixels(file_kind: str, files: Files) -> None:
    data = files[file_kind]

    servable = servable_bytes(data)

    np.testing.assert_array_equal(decode_picture(servable), decode_picture(data))
    assert (servable is data) == (file_kind not in CONVERTED)
    assert picture_kind(servable) != "other"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "JPEG2000"])
def test_exif_orientation_turns_no_other_kind_than_jpeg(kind: str, photo: Pixels) -> None:
    if kind == "AVIF" and kind not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, kind, exif=exif.tobytes())

    assert decode_picture(buffer.getvalue()).shape == photo.shape


def test_tiff_is_turned_upright_by_its_own_tag(photo: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "TIFF", exif=exif)

    np.testing.assert_array_equal(decode_picture(buffer.getvalue()), np.rot90(photo, -1))


def test_jpeg_is_turned_upright(photo: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, stored = io.BytesIO(), io.BytesIO()
    Image.fromarray(photo).save(stored, "JPEG")
    Image.fromarray(photo).save(turned, "JPEG", exif=exif)

    image = decode_picture(turned.getvalue())

    np.testing.assert_array_equal(image, np.rot90(decode_picture(stored.getvalue()), -1))


@pytest.mark.parametrize("kind", ["jpeg baseline", "jpeg progressive", "png rgb", "png 16-bit rgb"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_off_file_is_refused_in_clear_words(kind: str, share: float, files: Files) -> None:
    data = files[kind]

    with pytest.raises(DatasetError, match="damaged or cut-off (JPEG|PNG)|header is damaged"):
        decode_picture(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"Not a picture, whatever its name says.\n" * 20, "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC cannot be read here; convert it"),
        (b"\xff\x0a" + b"\0" * 40, "JPEG XL cannot be read here; convert it"),
    ],
)
def test_file_that_is_no_picture_is_refused_in_clear_words(data: bytes, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        decode_picture(data)


def test_picture_of_one_pixel_decodes() -> None:
    data = bytes(cv2.imencode(".png", np.full((1, 1, 3), (30, 20, 10), np.uint8))[1])

    np.testing.assert_array_equal(decode_picture(data), [[[10, 20, 30]]])


def png_of_chunks(**chunks: bytes) -> bytes:
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks.items():
        body = name.encode() + content
        data += struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return data


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in half a megabyte."""

    press = zlib.compressobj(9)
    row = bytes(1 + 20_000 // 8)
    body = b"".join([press.compress(row) for _ in range(20_000)]) + press.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return png_of_chunks(IHDR=header, IDAT=body, IEND=b"")


@pytest.fixture
def decoders_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test where pixels are decoded at all."""

    def wake(*args: object, **options: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(cv2, "imdecode", wake)
    monkeypatch.setattr(Image.Image, "convert", wake)


@pytest.mark.usefixtures("decoders_asleep")
def test_bomb_is_refused_by_its_size_before_it_is_decoded(bomb: bytes) -> None:
    assert len(bomb) < 600_000
    memory_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()

    with pytest.raises(DatasetError, match=r"20000 x 20000 is 400 megapixels.*limit of 100"):
        decode_picture(bomb)

    assert time.perf_counter() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kib < 50_000


@pytest.mark.usefixtures("decoders_asleep")
@pytest.mark.parametrize("chunk", [b"PLTE", b"IDAT"])
def test_png_chunk_that_promises_gigabytes_is_refused_before_they_are_taken(
    chunk: bytes, files: Files
) -> None:
    # OpenCV took 4 GB and several seconds for such a file of 300 bytes.
    data = bytearray(files["png palette"])
    at = data.index(chunk) - 4
    data[at : at + 4] = b"\xff\xff\xff\xff"

    with pytest.raises(DatasetError, match="cut-off PNG|header is damaged"):
        decode_picture(bytes(data))


def test_limit_is_the_callers(files: Files) -> None:
    with pytest.raises(DatasetError, match="max_megapixels"):
        decode_picture(files["png rgb"], max_pixels=37 * 53 - 1)
    assert check_size(files["png rgb"], max_pixels=37 * 53) == (37, 53)


def test_picture_above_the_decoders_own_limit_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 40_000, 30_000, 1, 0, 0, 0, 0)
    data = png_of_chunks(IHDR=header, IDAT=zlib.compress(bytes(5001)), IEND=b"")

    with pytest.raises(DatasetError, match="OpenCV refuses this PNG"):
        decode_picture(data, max_pixels=2**40)


def test_real_photograph_decodes_as_pillow_does(shared_data: Path) -> None:
    folder = shared_data / "flower_photos" / "daisy"
    if not folder.is_dir():
        pytest.skip("no flower_photos beside the checkout")

    for path in sorted(folder.glob("*.jpg"))[:5]:
        with Image.open(path) as picture:
            expected = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(decode_picture(path.read_bytes()) - expected).max() <= 1


def mutated(data: bytes, seed: int) -> bytes:
    """Damage a file: cut it, or change, remove or double some of its bytes."""
    rng = random.Random(seed)
    work = bytearray(data)
    if rng.random() < 0.2:
        return bytes(work[: rng.randrange(len(work))])
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        end = min(len(work), rng.choice([32, 128, len(work)]))
        at = rng.randrange(max(1, end))
        match rng.randrange(4):
            case 0:
                del work[at : at + rng.randrange(1, 9)]
            case 1:
                work[at:at] = work[at : at + rng.randrange(1, 9)]
            case 2:
                work[at : at + 1] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF])])
            case _:
                work[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(work)


def raises_nothing_but_dataset_errors(data: bytes) -> None:
    try:
        image = decode_picture(data, max_pixels=4_000_000)
        servable_bytes(data)
    except DatasetError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


BEGINNINGS = st.sampled_from(
    [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8 ",
     b"II*\0", b"MM\0*", b"P6 ", b"P5\n", b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x18ftypavif"]
)  # fmt: skip


@pillow_may_warn
@given(beginning=BEGINNINGS, rest=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_dataset_errors(beginning: bytes, rest: bytes) -> None:
    raises_nothing_but_dataset_errors(beginning + rest)


@pillow_may_warn
@given(seed=st.integers(0, 2**32), kind=st.integers(0, 10_000))
@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_raise_nothing_but_dataset_errors(seed: int, kind: int, files: Files) -> None:
    data = list(files.values())[kind % len(files)]

    raises_nothing_but_dataset_errors(mutated(data, seed))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pillow_may_warn
def test_ten_thousand_damaged_files_of_a_kind_raise_nothing_else(
    file_kind: str, files: Files
) -> None:
    for seed in range(10_000):
        raises_nothing_but_dataset_errors(mutated(files[file_kind], seed))


def test_avif_that_cannot_be_decoded_is_refused(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pillow's AVIF reader raises RuntimeError for a damaged frame.
    if "avif" not in files:
        pytest.skip("this Pillow has no AVIF")

    def fail(self: Image.Image, *args: object, **options: object) -> None:
        raise RuntimeError("Failed to decode frame 0")

    monkeypatch.setattr(Image.Image, "convert", fail)

    with pytest.raises(DatasetError, match="Failed to decode frame 0"):
        decode_picture(files["avif"])


def test_pillow_is_asked_for_picture_formats_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    real: Callable[..., Image.Image] = Image.open

    def listen(*args: object, formats: list[str], **options: object) -> Image.Image:
        asked.append(formats)
        return real(*args, formats=formats, **options)

    monkeypatch.setattr(Image, "open", listen)

    with pytest.raises(DatasetError):
        decode_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n")

    assert "EPS" not in asked[0]
