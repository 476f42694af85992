"""What the header of a JPEG tells without decoding it; `tl.data.exif` reads its orientation."""

# Tables, frames (baseline, extended, progressive), restart interval, scan; JFIF, EXIF and the like.
_PLAIN_MARKERS = frozenset([0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE])


def plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a JPEG whose header is the usual one up to its data, else None.

    Asking Pillow takes 20 microseconds in which no other thread runs Python. What is odd in any
    way is left to it.
    """
    if data[:2] != b"\xff\xd8":
        return None
    position, size = 2, None
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        if marker not in _PLAIN_MARKERS:
            return None
        length = data[position + 2] << 8 | data[position + 3]
        if length < 2 or position + 2 + length > len(data):
            return None
        if 0xC0 <= marker <= 0xC2:
            if size is not None or length < 11 or data[position + 4] != 8:
                return None
            size = (
                data[position + 5] << 8 | data[position + 6],
                data[position + 7] << 8 | data[position + 8],
            )
            if not all(size) or data[position + 9] not in (1, 3):
                return None
        if marker == 0xDA:
            return size
        position += 2 + length
    return None


def is_bare_cmyk_jpeg(data: bytes) -> bool:
    """Tell four-colour JPEG without Adobe's marker, which TensorFlow takes for inverted."""
    position = 2
    has_adobe_marker = False
    while position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the frame header
            return data[position + 9] == 4 and not has_adobe_marker
        if marker in (0xDA, 0xD9):
            break
        has_adobe_marker |= marker == 0xEE and data[position + 4 : position + 9] == b"Adobe"
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False
