"""Pictures with detail, of their own for every number, and folders of them with one fault."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def scene(number: int, size: tuple[int, int] = (120, 160)) -> Pixels:
    """Return an RGB picture that is like no other number's."""
    rng = np.random.default_rng(number)
    image = np.zeros((*size, 3), np.float32)
    for side in (2, 4, 8, 16):  # as in photos: the finer, the fainter
        coarse = rng.normal(0, 1 / side**0.7, (side, side + 1, 3)).astype(np.float32)
        image += cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    image = 128 + 60 * image / image.std() + rng.normal(0, 3, image.shape)
    shown: Pixels = np.clip(image, 0, 255).astype(np.uint8)
    return shown


def encode(image: Pixels, ending: str = ".jpg", quality: int = 92) -> bytes:
    """Return an RGB picture as a file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if ending == ".jpg" else []
    done, data = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done
    return bytes(data)


def turned(jpeg: bytes, orientation: int) -> bytes:
    """Return a JPEG with an EXIF orientation."""
    entry = b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0])
    content = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by name below a folder."""
    for key, data in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def sound_files(count: int = 20, prefix: str = "", first: int = 0) -> dict[str, bytes]:
    """Return two classes of pictures without a fault."""
    return {
        f"{prefix}{label}/{number:02d}.jpg": encode(scene(first + 1000 * place + number))
        for place, label in enumerate(("cats", "dogs"))
        for number in range(count)
    }
