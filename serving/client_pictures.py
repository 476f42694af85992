"""Pictures as callers have them, to encoded bytes and batches.

Batches hold what was given; files are read and arrays encoded when a batch is sent, so that a
hundred thousand paths are never a hundred thousand pictures in memory.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving.client_arguments import check_count
from serving.errors import InvalidArgument, ServingError

if TYPE_CHECKING:
    from PIL.Image import Image

Picture: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | Image"
)

Pictures: TypeAlias = "Picture | Iterable[Picture]"

BATCH_SIZE = 8

_KINDS = "a path, encoded bytes, a uint8 array of (height, width, 3), or a PIL image"
# What PNG keeps as it is; other colour spaces become RGB.
_PNG_MODES = frozenset(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures that are sent together.

    Attributes:
        first: the position of the first among all that were given, from 0.
        pictures: one or more.
    """

    first: int
    pictures: Sequence[Picture]

    def encode(self) -> list[bytes]:
        """Read or encode each picture.

        Raises:
            InvalidArgument: one cannot be, which is named.
        """
        values = []
        for place, picture in enumerate(self.pictures, self.first):
            with Batch(place, [picture]).named_in_errors():
                values.append(encode_picture(picture))
        return values

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Say in errors which pictures they are about, unless that is known more exactly."""
        try:
            yield
        except ServingError as error:
            if not error.pictures:
                error.pictures = range(self.first, self.first + len(self.pictures))
                error.about = self._in_words()
            raise

    def _in_words(self) -> str:
        last = self.first + len(self.pictures) - 1
        words = f"picture {last}" if last == self.first else f"pictures {self.first} to {last}"
        ends = [self.pictures[0], self.pictures[-1]][: 1 + (last > self.first)]
        if all(isinstance(end, str | os.PathLike) for end in ends):
            return f"{words} ({' to '.join(repr(os.fspath(end)) for end in ends)})"  # type: ignore[arg-type]
        return words


def batches_of(pictures: Pictures, size: int) -> Iterator[Batch]:
    """Cut pictures into batches, taking from an iterator no more than the next one needs.

    Args:
        pictures: one picture, or any number of them.
        size: pictures a batch; the last may have fewer.

    Raises:
        InvalidArgument: the size is below 1, or this is neither a picture nor several.
        TypeError: the size is no whole number.
    """
    check_count("batch_size", size)
    if size < 1:
        raise InvalidArgument(f"batch_size is {size}: give 1 or more")
    if _is_picture(pictures):
        return iter([Batch(0, [pictures])])  # type: ignore[list-item]
    try:
        return _cut(iter(pictures), size)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidArgument(f"{_kind(pictures)} is no picture: give {_KINDS}") from error


def _cut(pictures: Iterator[Picture], size: int) -> Iterator[Batch]:
    first = 0
    while batch := list(islice(pictures, size)):
        yield Batch(first, batch)
        first += len(batch)


def encode_picture(picture: Picture) -> bytes:
    """Return the bytes that are sent: those of the file, or a PNG of the same pixels.

    Args:
        picture: a path, encoded bytes, a uint8 array of (height, width, 3), (height, width, 1)
            or (height, width), or a PIL image, which is turned upright by its EXIF orientation.

    Raises:
        InvalidArgument: with what is wrong with it and what to do.
    """
    if isinstance(picture, str | os.PathLike):
        try:
            data = Path(picture).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            reason = getattr(error, "strerror", None) or error
            raise InvalidArgument(f"cannot read the file: {reason}") from error
        if not data:
            raise InvalidArgument("the file is empty")
        return data
    if isinstance(picture, bytes | bytearray | memoryview):
        if not len(picture):
            raise InvalidArgument("no bytes: give those of an encoded picture, or its path")
        return bytes(picture)
    if isinstance(picture, np.ndarray):
        return _encode_array(picture)
    if _is_pil(picture):
        return _encode_image(picture)
    raise InvalidArgument(f"{_kind(picture)} is no picture: give {_KINDS}")


def _encode_array(array: NDArray[Any]) -> bytes:
    if array.dtype != np.uint8:
        raise InvalidArgument(
            f"an array of {array.dtype}: pixels are uint8, 0 to 255; scale the values to that and "
            "use .astype(np.uint8)"
        )
    if array.ndim == 4:
        raise InvalidArgument(
            f"an array of shape {array.shape} is a batch: pass list(array) for its pictures"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        advice = "; drop alpha with array[..., :3]" if array.shape[2:] == (4,) else ""
        raise InvalidArgument(
            f"an array of shape {array.shape}: a picture is (height, width, 3), "
            f"(height, width, 1) or (height, width){advice}"
        )
    if not array.size:
        raise InvalidArgument(f"an array of shape {array.shape} has no pixels")
    try:
        from PIL import Image
    except ImportError as error:
        raise InvalidArgument(
            "arrays are sent as PNG, which needs Pillow: pip install pillow, or encode the "
            "picture yourself and pass its bytes"
        ) from error
    pixels = array[:, :, 0] if array.shape[2:] == (1,) else array
    return _encode_image(Image.fromarray(np.ascontiguousarray(pixels)))


def _encode_image(image: "Image") -> bytes:
    from PIL import ImageOps

    if image.mode in ("F", "I"):
        raise InvalidArgument(
            f'a PIL image of mode "{image.mode}" has no fixed range of values: scale them to 0 to '
            '255 and convert it to "L"'
        )
    png = io.BytesIO()
    try:
        # A JPEG is sent with its orientation, and the served model turns it; PNG would lose it.
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in _PNG_MODES:
            upright = upright.convert("RGB")
        # The fastest level: a little larger, and several times quicker.
        upright.save(png, "PNG", compress_level=1)
    except (OSError, ValueError) as error:  # a file that was opened and is damaged
        raise InvalidArgument(f"the PIL image cannot be encoded: {error}") from error
    return png.getvalue()


def _is_picture(value: object) -> bool:
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)
    return isinstance(value, kinds) or _is_pil(value)


def _is_pil(value: object) -> bool:
    module: Any = sys.modules.get("PIL.Image")  # not imported: nobody has such an image
    return module is not None and isinstance(value, module.Image)


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
