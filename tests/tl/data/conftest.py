"""One small file of every kind of picture that people keep, with the pixels that it means."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 37, 53


def _photo() -> Pixels:
    """A gradient with one bright corner: any turn, mirror or swap of channels shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.stack([255 * x / WIDTH, 255 * y / HEIGHT, 127 + 60 * np.sin(x / 5)], axis=2)
    image[:9, :12] = (250, 40, 10)
    return image.astype(np.uint8)


PHOTO = _photo()
GREY = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
ONE_BIT = np.where(GREY > 110, 255, 0).astype(np.uint8)
# Low bytes that differ from the high ones, so that rounding and swapped bytes show.
DEEP_GREY = GREY.astype(np.uint16) * 256 + 255 - GREY
DEEP_PHOTO = PHOTO.astype(np.uint16) * 256 + 255 - PHOTO


@dataclass(frozen=True, slots=True)
class _File:
    """An encoded picture, the pixels it means, and how far a decoder may be from them."""

    data: bytes
    pixels: Pixels
    tolerance: int = 0


def _rgb(grey: Pixels) -> Pixels:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _lossy(image: Image.Image, kind: str, **options: object) -> _File:
    """Pillow's own reading is the reference for what a lossy file means."""
    data = _pillow(image, kind, **options)
    with Image.open(io.BytesIO(data)) as picture:
        return _File(data, np.asarray(picture.convert("RGB")), 1)


def _opencv(extension: str, image: NDArray[np.generic]) -> bytes:
    done, data = cv2.imencode(extension, image)
    assert done
    return bytes(data)


def _palette() -> Image.Image:
    return Image.fromarray(PHOTO).quantize(17)


def _with_transparency(image: Image.Image) -> Image.Image:
    image.info["transparency"] = 3
    return image


def _frames() -> list[Image.Image]:
    return [Image.fromarray(np.roll(PHOTO, 7 * step, axis=1)).quantize(16) for step in range(3)]


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png_of(
    size: tuple[int, int], bits: int, colour: int, rows: bytes, *, interlaced: bool = False
) -> bytes:
    """Assemble a PNG from its (filtered) rows."""
    header = struct.pack(">IIBBBBB", size[1], size[0], bits, colour, 0, 0, int(interlaced))
    body = zlib.compress(rows)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _interlaced_png() -> bytes:
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for top, left, down, right in [*passes, (1, 0, 2, 1)]:
        for row in PHOTO[top::down, left::right]:
            rows += b"\0" + row.tobytes()
    return png_of((HEIGHT, WIDTH), 8, 2, rows, interlaced=True)


def _bmp(bits: int, masks: tuple[int, int, int] | None, *, top_down: bool = False) -> bytes:
    """Write what Pillow does not: bit fields, and rows from the top."""
    rows = PHOTO if top_down else PHOTO[::-1]
    if bits == 24:
        padding = np.zeros((HEIGHT, -3 * WIDTH % 4), np.uint8)
        body = np.hstack([rows[:, :, ::-1].reshape(HEIGHT, -1), padding]).tobytes()
    else:
        shifts = [mask.bit_length() - 8 for mask in masks or (0xFF0000, 0xFF00, 0xFF)]
        words = sum(rows[:, :, axis].astype(np.uint32) << shifts[axis] for axis in range(3))
        body = np.asarray(words, "<u4").tobytes()
    extra = struct.pack("<III", *masks) if masks else b""
    height = -HEIGHT if top_down else HEIGHT
    compression = 3 if masks else 0
    header = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, height, 1, bits, compression, len(body), 2835, 2835, 0, 0
    )
    start = 14 + len(header) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + extra + body


def _os2_bmp() -> bytes:
    """Write a BMP with the 12-byte header of OS/2, whose bit depth lies elsewhere."""
    padding = np.zeros((HEIGHT, -3 * WIDTH % 4), np.uint8)
    body = np.hstack([PHOTO[::-1, :, ::-1].reshape(HEIGHT, -1), padding]).tobytes()
    header = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    return b"BM" + struct.pack("<IHHI", 26 + len(body), 0, 0, 26) + header + body


def _gif(*, interlaced: bool) -> _File:
    image = _palette()
    data = _pillow(image, "GIF", interlace=interlaced)
    return _File(data, np.asarray(image.convert("RGB")))


def _transparent_gif() -> _File:
    """Transparent is black, as in TensorFlow."""
    palette = _palette()
    data = _pillow(palette, "GIF", transparency=3)
    pixels = np.asarray(palette.convert("RGB")).copy()
    pixels[np.asarray(palette) == 3] = 0
    return _File(data, pixels)


def _gif_with_a_free_border() -> _File:
    """A still frame that covers a part of the screen only; the rest shows the first colour."""
    whole = _pillow(_palette(), "GIF")
    border = 4
    frame = whole.index(b",", 13 + (3 << (whole[10] & 7) + 1))
    screen = struct.pack("<HH", WIDTH + 2 * border, HEIGHT + border)
    corner = struct.pack("<HH", border, border)
    data = whole[:6] + screen + whole[10 : frame + 1] + corner + whole[frame + 5 :]
    pixels = np.full((HEIGHT + border, WIDTH + 2 * border, 3), list(whole[13:16]), np.uint8)
    pixels[border:, border:-border] = np.asarray(_palette().convert("RGB"))
    return _File(data, pixels)


def _cmyk_without_adobe() -> _File:
    """Without the marker the inks are not inverted; Pillow, which inverts, is turned round."""
    data = _pillow(_cmyk_image, "JPEG")
    name = data.index(b"Adobe")
    length = int.from_bytes(data[name - 2 : name], "big")
    data = data[: name - 4] + data[name - 2 + length :]
    with Image.open(io.BytesIO(data)) as picture:
        return _File(data, np.asarray(picture.convert("RGB")), 1)


def _animated(kind: str, **options: object) -> _File:
    first, *others = _frames()
    data = _pillow(first, kind, save_all=True, append_images=others, duration=50, **options)
    return _File(data, np.asarray(first.convert("RGB")))


_photo_image = Image.fromarray(PHOTO)
_rgba_image = Image.fromarray(np.dstack([PHOTO, ALPHA]))
_la_image = Image.fromarray(np.dstack([GREY, ALPHA]))
_cmyk_image = _photo_image.convert("CMYK")

_MAKERS: dict[str, Callable[[], _File]] = {
    "jpeg baseline": lambda: _lossy(_photo_image, "JPEG", quality=90),
    "jpeg progressive": lambda: _lossy(_photo_image, "JPEG", progressive=True),
    "jpeg grey": lambda: _lossy(Image.fromarray(GREY), "JPEG"),
    "jpeg cmyk": lambda: _lossy(_cmyk_image, "JPEG"),
    "jpeg cmyk without adobe": lambda: _cmyk_without_adobe(),
    "jpeg 4:4:4": lambda: _lossy(_photo_image, "JPEG", subsampling=0),
    "jpeg 4:2:2": lambda: _lossy(_photo_image, "JPEG", subsampling=1),
    "jpeg kept as rgb": lambda: _lossy(_photo_image, "JPEG", keep_rgb=True),
    "jpeg restart markers": lambda: _lossy(_photo_image, "JPEG", restart_marker_blocks=2),
    "jpeg comment, icc, dpi": lambda: _lossy(
        _photo_image, "JPEG", comment=b"x" * 900, dpi=(300, 300), icc_profile=b"p" * 70_000
    ),
    "jpeg mpo": lambda: _lossy(_photo_image, "MPO", save_all=True, append_images=[_photo_image]),
    "png rgb": lambda: _File(_pillow(_photo_image, "PNG"), PHOTO),
    "png rgba": lambda: _File(_pillow(_rgba_image, "PNG"), PHOTO),
    "png grey alpha": lambda: _File(_pillow(_la_image, "PNG"), _rgb(GREY)),
    "png grey": lambda: _File(_pillow(Image.fromarray(GREY), "PNG"), _rgb(GREY)),
    "png 1-bit": lambda: _File(
        _pillow(Image.fromarray(ONE_BIT).convert("1"), "PNG"), _rgb(ONE_BIT)
    ),
    "png palette": lambda: _File(_pillow(_palette(), "PNG"), np.asarray(_palette().convert("RGB"))),
    "png palette 4-bit": lambda: _File(
        _pillow(_photo_image.quantize(13), "PNG", bits=4),
        np.asarray(_photo_image.quantize(13).convert("RGB")),
    ),
    "png palette transparent": lambda: _File(
        _pillow(_palette(), "PNG", transparency=3), np.asarray(_palette().convert("RGB"))
    ),
    "png palette alpha table": lambda: _File(
        _pillow(_palette(), "PNG", transparency=bytes(range(0, 170, 10))),
        np.asarray(_palette().convert("RGB")),
    ),
    "png rgb transparent colour": lambda: _File(
        _pillow(_photo_image, "PNG", transparency=(250, 40, 10)), PHOTO
    ),
    "png grey transparent": lambda: _File(
        _pillow(Image.fromarray(GREY), "PNG", transparency=int(GREY[0, 0])), _rgb(GREY)
    ),
    "png 16-bit grey": lambda: _File(_opencv(".png", DEEP_GREY), _rgb(GREY)),
    "png 16-bit rgb": lambda: _File(_opencv(".png", DEEP_PHOTO[:, :, ::-1]), PHOTO),
    "png 16-bit rgba": lambda: _File(
        _opencv(".png", np.dstack([DEEP_PHOTO[:, :, ::-1], DEEP_GREY])), PHOTO
    ),
    "png interlaced": lambda: _File(_interlaced_png(), PHOTO),
    "png animated": lambda: _File(
        _pillow(_photo_image, "PNG", save_all=True, append_images=[_photo_image.rotate(180)]),
        PHOTO,
    ),
    "png animated, picture apart": lambda: _File(
        _pillow(
            _photo_image,
            "PNG",
            save_all=True,
            default_image=True,
            append_images=[_photo_image.rotate(180), _photo_image.rotate(90)],
        ),
        PHOTO,
    ),
    "png gamma": lambda: _File(
        (lambda data: data[:33] + _chunk(b"gAMA", struct.pack(">I", 100_000)) + data[33:])(
            _pillow(_photo_image, "PNG")
        ),
        PHOTO,
    ),
    "gif still": lambda: _gif(interlaced=False),
    "gif interlaced": lambda: _gif(interlaced=True),
    "gif animated": lambda: _animated("GIF", loop=0),
    "gif transparent": lambda: _transparent_gif(),
    "gif frame beside": lambda: _gif_with_a_free_border(),
    "bmp 24-bit": lambda: _File(_pillow(_photo_image, "BMP"), PHOTO),
    "bmp 32-bit": lambda: _File(_bmp(32, None), PHOTO),
    "bmp 32-bit alpha": lambda: _File(_pillow(_rgba_image, "BMP"), PHOTO),
    "bmp 24-bit top down": lambda: _File(_bmp(24, None, top_down=True), PHOTO),
    "bmp 32-bit fields": lambda: _File(_bmp(32, (0xFF0000, 0xFF00, 0xFF)), PHOTO),
    "bmp 32-bit fields shifted": lambda: _File(_bmp(32, (0xFF000000, 0xFF0000, 0xFF00)), PHOTO),
    "bmp of photoshop": lambda: _File(_bmp(24, None) + b"\0\0", PHOTO),
    "bmp os/2": lambda: _File(_os2_bmp(), PHOTO),
    "bmp palette": lambda: _File(_pillow(_palette(), "BMP"), np.asarray(_palette().convert("RGB"))),
    "bmp 1-bit": lambda: _File(
        _pillow(Image.fromarray(ONE_BIT).convert("1"), "BMP"), _rgb(ONE_BIT)
    ),
    "bmp grey": lambda: _File(_pillow(Image.fromarray(GREY), "BMP"), _rgb(GREY)),
    "webp lossy": lambda: _lossy(_photo_image, "WEBP", quality=90),
    "webp lossless": lambda: _File(_pillow(_photo_image, "WEBP", lossless=True), PHOTO),
    "webp alpha": lambda: _File(_pillow(_rgba_image, "WEBP", lossless=True, exact=True), PHOTO),
    "webp lossy alpha": lambda: _lossy(_rgba_image, "WEBP", quality=90),
    "webp animated": lambda: _animated("WEBP", lossless=True),
    "tiff rgb": lambda: _File(_pillow(_photo_image, "TIFF"), PHOTO),
    "tiff lzw": lambda: _File(_pillow(_photo_image, "TIFF", compression="tiff_lzw"), PHOTO),
    "tiff grey": lambda: _File(_pillow(Image.fromarray(GREY), "TIFF"), _rgb(GREY)),
    "tiff 16-bit grey": lambda: _File(_pillow(Image.fromarray(DEEP_GREY), "TIFF"), _rgb(GREY)),
    "tiff palette": lambda: _File(
        _pillow(_palette(), "TIFF"), np.asarray(_palette().convert("RGB"))
    ),
    "tiff rgba": lambda: _File(_pillow(_rgba_image, "TIFF"), PHOTO),
    "ppm": lambda: _File(_pillow(_photo_image, "PPM"), PHOTO),
    "pgm": lambda: _File(_pillow(Image.fromarray(GREY), "PPM"), _rgb(GREY)),
    "pgm 16-bit": lambda: _File(_opencv(".pgm", DEEP_GREY), _rgb(GREY)),
    "jpeg 2000": lambda: _File(_pillow(_photo_image, "JPEG2000"), PHOTO),
}
if features.check("avif"):
    _MAKERS["avif"] = lambda: _lossy(_photo_image, "AVIF", quality=90)


@pytest.fixture(params=list(_MAKERS))
def file_kind(request: pytest.FixtureRequest) -> str:
    """The name of one kind of file; a test that takes it runs for every kind."""
    return str(request.param)


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """One file of every kind, by name."""
    return {name: make().data for name, make in _MAKERS.items()}


@pytest.fixture(scope="session")
def meanings() -> dict[str, tuple[Pixels, int]]:
    """By kind, the pixels that the file of `files` means and how far a decoder may be from them."""
    made = {name: make() for name, make in _MAKERS.items()}
    return {name: (one.pixels, one.tolerance) for name, one in made.items()}


@pytest.fixture(scope="session")
def photo() -> Pixels:
    """The RGB picture, 37 x 53, that all files show."""
    return PHOTO.copy()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of datasets that are too large, or not ours, to be in the repository."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared" / "data"
    pytest.skip("no shared/data beside the checkout: the real datasets are not here")


def png_bytes(value: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """Encode a picture of its own for every value (a number written into its first pixels)."""
    image = np.full((*size, 3), 90, np.uint8)
    image[0, 0] = (value % 256, value // 256 % 256, value // 65536)
    return _opencv(".png", image)


@pytest.fixture(scope="session")
def make_png() -> Callable[[int], bytes]:
    """Function from a number to a small PNG that no other number gives."""
    return png_bytes


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes pictures of their own: ``make_folder({"cats": 3, "dogs": 2})``."""

    def write(classes: dict[str, int], name: str = "pets", first: int = 0) -> Path:
        root = tmp_path / name
        value = first
        for class_name, count in classes.items():
            folder = root / class_name
            folder.mkdir(parents=True)
            for index in range(count):
                (folder / f"{index:03d}.png").write_bytes(png_bytes(value))
                value += 1
        return root

    return write
