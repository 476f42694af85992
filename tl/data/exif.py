"""EXIF orientation of JPEG files: found in the bytes, applied to the pixels.

The served graph has the same parser in TensorFlow operations (`tl.export.orientation`); a test
holds the two together. OpenCV's own is not used because it also turns PNG and WebP, and because
the two sides have to agree on damaged files: whatever cannot be read means upright.
"""

import numpy as np
from numpy.typing import NDArray

ORIENTATION_TAG = 0x0112
UPRIGHT = 1
# Metadata comes before the picture data; a marker chain longer than this is not looked at.
MAX_SEGMENTS = 32
# APP1 segments have at most 65,533 bytes of content; metadata before it may be as long again.
HEADER_BYTES = 256 * 1024


def jpeg_orientation(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8, of a JPEG file.

    Args:
        data: the encoded file. Anything but a JPEG with a sound EXIF block gives 1 (upright).

    Source: Exif 2.32, sections 4.5.4 (APP1) and 4.6.2 (IFD); tag 0x0112.
    """
    data = data[:HEADER_BYTES]  # the served graph looks no further
    if data[:2] != b"\xff\xd8":
        return UPRIGHT
    position = 2
    for _ in range(MAX_SEGMENTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            return UPRIGHT
        marker = data[position + 1]
        if marker in (0xDA, 0xD9):  # picture data begins, or the file ends
            return UPRIGHT
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if length < 2:
            return UPRIGHT
        if marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            return _tiff_orientation(data[position + 10 : position + 2 + length])
        position += 2 + length
    return UPRIGHT


def _tiff_orientation(tiff: bytes) -> int:
    if tiff[:4] == b"II*\0":
        order = "little"
    elif tiff[:4] == b"MM\0*":
        order = "big"
    else:
        return UPRIGHT

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)  # type: ignore[arg-type]

    directory = number(4, 4)
    if len(tiff) < 8 or directory + 2 > len(tiff):
        return UPRIGHT
    for index in range(number(directory, 2)):
        entry = directory + 2 + 12 * index
        if entry + 12 > len(tiff):
            return UPRIGHT
        if number(entry, 2) == ORIENTATION_TAG:
            # Type SHORT, one value, stored in the entry's first two value bytes.
            value = number(entry + 8, 2)
            sound = number(entry + 2, 2) == 3 and number(entry + 4, 4) == 1 and 1 <= value <= 8
            return value if sound else UPRIGHT
    return UPRIGHT


def turn_upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation.

    Args:
        image: (height, width, channels) as stored.
        orientation: 1 to 8; what to do for each is in Exif 2.32, section 4.6.4.

    Returns:
        The upright picture; for 5 to 8 height and width are exchanged.
    """
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
