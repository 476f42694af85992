"""One closer look at every picture, for `tl.data.check`: what the file is and what it shows.

Receives examples, gives columns. Pictures are decoded a few at a time on all cores, JPEGs at a
reduced scale: libjpeg still reads every byte, so that damage shows as it does in training (held by
a test), at a fraction of the time. What stays is 1.3 KB a picture.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.data.decode import check_size, decode_jpeg, decode_picture, picture_kind, reduced_shape
from tl.data.example import Column, Example
from tl.data.exif import UPRIGHT, jpeg_orientation, turn_upright
from tl.data.similar import GRID, SIDE, Signatures
from tl.errors import DatasetError

GREY_SPREAD = 2
"""Levels of Cr and Cb around grey up to which a thumbnail shows no colour; JPEG moves grey by 1."""
_AT_ONCE = 64
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    *((0, b"P%d" % digit, "PNM") for digit in range(1, 7)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What is known of each picture, as columns.

    Attributes:
        identities: sha256 in hexadecimal digits; empty where unreadable.
        heights, widths: int32, in pixels, upright; 0 where unreadable.
        formats: by the first bytes, such as ``JPEG``; empty where unknown.
        orientations: uint8, EXIF orientation of JPEGs, 1 is upright.
        deviations: float32, standard deviation over the picture of the channel that varies most.
        is_grey: whether it shows no colour.
        signatures: for `tl.data.similar`.
        faults: place -> why it cannot be read.
    """

    identities: Column = field(repr=False)
    heights: NDArray[np.int32] = field(repr=False)
    widths: NDArray[np.int32] = field(repr=False)
    formats: Column = field(repr=False)
    orientations: NDArray[np.uint8] = field(repr=False)
    deviations: NDArray[np.float32] = field(repr=False)
    is_grey: NDArray[np.bool_] = field(repr=False)
    signatures: Signatures = field(repr=False)
    faults: Mapping[int, str] = field(repr=False)


def look_at(
    examples: Sequence[Example],
    *,
    max_pixels: int,
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Looks:
    """Look at every picture once.

    Args:
        examples: what a source gave.
        max_pixels: larger pictures are refused before decoding, and count as unreadable.
        threads: None is one a core. The result does not depend on it.
        on_progress: told the number of pictures done so far.

    Returns:
        Columns in the order of the examples. Nothing is raised for a bad picture.
    """
    count = len(examples)
    looks = Looks(
        identities=np.full(count, "", object),
        heights=np.zeros(count, np.int32),
        widths=np.zeros(count, np.int32),
        formats=np.full(count, "", object),
        orientations=np.full(count, UPRIGHT, np.uint8),
        deviations=np.zeros(count, np.float32),
        is_grey=np.zeros(count, np.bool_),
        signatures=Signatures(
            np.zeros((count, SIDE, SIDE), np.uint8), np.full((count, GRID, GRID, 2), 128, np.uint8)
        ),
        faults=(faults := {}),
    )

    def look(start: int) -> int:
        stop = min(start + _AT_ONCE, count)
        for place in range(start, stop):
            try:
                _look(looks, place, examples[place].read(), max_pixels)
            except DatasetError as error:
                faults[place] = str(error)
        return stop

    with ThreadPoolExecutor(max_workers=threads or os.cpu_count()) as pool:
        for done in pool.map(look, range(0, count, _AT_ONCE)):
            on_progress(done)
    return looks


def file_format(data: bytes) -> str:
    """Return the name of the format that the first bytes tell, or nothing."""
    return next((name for at, magic, name in _MAGIC if data[at : at + len(magic)] == magic), "")


def _look(looks: Looks, place: int, data: bytes, max_pixels: int) -> None:
    looks.formats[place] = file_format(data)
    height, width = check_size(data, max_pixels)
    if picture_kind(data) == "jpeg":
        orientation = looks.orientations[place] = jpeg_orientation(data)
        factor = reduced_shape(height, width, SIDE)[2]
        image = turn_upright(decode_jpeg(data, factor), orientation)
        if orientation >= 5:
            height, width = width, height
    else:
        image = decode_picture(data, max_pixels)
        height, width = image.shape[:2]
    looks.heights[place], looks.widths[place] = height, width
    looks.deviations[place] = cv2.meanStdDev(image)[1].max()
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    tones = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
    fields = cv2.resize(tones, (GRID, GRID), interpolation=cv2.INTER_AREA)
    looks.is_grey[place] = _has_no_tint(fields) and _has_no_tint(tones)  # mostly the first tells
    # A smaller picture has less to tell than a thumbnail holds: it is compared by its bytes alone
    # (an empty thumbnail has no contrast). Digits of 28 pixels are alike by the hundred.
    if min(height, width) >= SIDE:
        looks.signatures.thumbnails[place] = tones[:, :, 0]
        looks.signatures.colours[place] = fields[:, :, 1:]
    looks.identities[place] = hashlib.sha256(data).hexdigest()


def _has_no_tint(tones: NDArray[np.uint8]) -> bool:
    tint = tones[:, :, 1:]
    return bool(tint.min() >= 128 - GREY_SPREAD and tint.max() <= 128 + GREY_SPREAD)
