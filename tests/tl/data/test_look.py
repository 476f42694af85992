"""A closer look sees what training sees, at less cost."""

import random

import cv2
import numpy as np
import pytest

from tests.tl.data.scenes import encode, scene, turned
from tl.data.contents import InMemory
from tl.data.decode import MAX_PIXELS, decode_picture, picture_size
from tl.data.example import Dataset, column
from tl.data.jpeg_header import plain_jpeg_size
from tl.data.look import Looks, file_format, look_at
from tl.errors import DatasetError


def look_at_files(files: list[bytes], threads: int | None = None) -> Looks:
    dataset = Dataset(
        name="memory", class_names=("a",), keys=column([str(one) for one in range(len(files))]),
        labels=np.zeros(len(files), np.int32), contents=InMemory(files),
        rows=np.arange(len(files)),
    )  # fmt: skip
    return look_at(dataset, max_pixels=MAX_PIXELS, threads=threads)


def is_readable(data: bytes) -> bool:
    try:
        decode_picture(data)
    except DatasetError:
        return False
    return True


def test_every_kind_of_file_is_read(file_kind: str, files: dict[str, bytes]) -> None:
    looks = look_at_files([files[file_kind]])

    assert not looks.faults
    assert (looks.heights[0], looks.widths[0]) == decode_picture(files[file_kind]).shape[:2]
    assert looks.formats[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damage_is_found_wherever_training_finds_it() -> None:
    """Cut off anywhere, bytes lost or altered: the reduced scale is as strict as the full one."""
    rng = random.Random(0)
    damaged = []
    for number in range(800):
        data = bytearray(encode(scene(number % 20, (120, 160))))
        reach = (len(data), 700)[number % 8 > 3]  # the tables and the frame lie in the first bytes
        if number % 4 == 0:
            del data[rng.randrange(1, reach) :]
        elif number % 4 == 1:
            del data[-rng.randrange(1, 6) :]
        elif number % 4 == 2:
            del data[(start := rng.randrange(2, reach)) : start + rng.randrange(1, 9)]
        else:
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(2, reach)] = rng.randrange(256)
        damaged.append(bytes(data))

    looks = look_at_files(damaged)

    assert [place in looks.faults for place in range(len(damaged))] == [
        not is_readable(data) for data in damaged
    ]
    assert 400 < len(looks.faults) < len(damaged)


def test_size_of_a_plain_header_is_that_of_pillow(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        assert plain_jpeg_size(data) in (None, picture_size(data)), name
    assert plain_jpeg_size(files["jpeg baseline"]) == picture_size(files["jpeg baseline"])
    assert plain_jpeg_size(files["jpeg progressive"]) == picture_size(files["jpeg progressive"])
    assert plain_jpeg_size(files["jpeg cmyk"]) is None


def test_a_picture_over_the_limit_is_refused_by_its_header() -> None:
    dataset = Dataset(
        name="memory", class_names=("a",), keys=column(["large"]), labels=np.zeros(1, np.int32),
        contents=InMemory([encode(scene(0, (300, 400)))]), rows=np.arange(1),
    )  # fmt: skip

    assert "more than the limit" in look_at(dataset, max_pixels=1000).faults[0]


def test_sizes_are_of_the_upright_picture() -> None:
    looks = look_at_files([turned(encode(scene(1)), 6), encode(scene(1))])

    assert list(zip(looks.heights, looks.widths, strict=True)) == [(160, 120), (120, 160)]
    assert looks.orientations.tolist() == [6, 1]


def test_grey_is_grey_however_it_is_stored() -> None:
    grey = cv2.cvtColor(scene(2), cv2.COLOR_RGB2GRAY)
    as_rgb = np.repeat(grey[:, :, None], 3, axis=2)
    _, one_channel = cv2.imencode(".jpg", grey)

    looks = look_at_files([bytes(one_channel), encode(as_rgb), encode(as_rgb, ".png"),
                           encode(scene(2))])  # fmt: skip

    assert looks.is_grey.tolist() == [True, True, True, False]


def test_the_number_of_threads_changes_nothing() -> None:
    files = [encode(scene(number)) for number in range(80)] + [b"", encode(scene(1))[:-50]]
    one, many = look_at_files(files, threads=1), look_at_files(files, threads=4)

    for name in ("identities", "heights", "widths", "formats", "deviations", "is_grey"):
        assert np.array_equal(getattr(one, name), getattr(many, name)), name
    assert np.array_equal(one.signatures.thumbnails, many.signatures.thumbnails)
    assert np.array_equal(one.signatures.colours, many.signatures.colours)
    assert dict(one.faults) == dict(many.faults)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBP", "WebP"), (b"BM\0\0", "BMP"), (b"II*\0", "TIFF"),
        (b"\0\0\0\x1cftypheic", "HEIC"), (b"<html>", ""), (b"", ""),
    ],
)  # fmt: skip
def test_format_is_told_by_the_first_bytes(data: bytes, name: str) -> None:
    assert file_format(data) == name
