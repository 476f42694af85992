"""EXIF orientation in TensorFlow operations: `tl.data.exif` again, for the served graph.

The same rules in the same order; a test runs both on sound, damaged and random files.
"""

from typing import Any

import tensorflow as tf

from tl.data.exif import MAX_SEGMENTS, ORIENTATION_TAG, UPRIGHT

# APP1 segments have at most 65,533 bytes of content; metadata before it may be as long again.
HEADER_BYTES = 256 * 1024
EXIF_MARK = b"Exif\0\0"


def jpeg_orientation(data: Any) -> Any:
    """Return the EXIF orientation, a scalar int32 of 1 to 8, of one JPEG file (scalar string)."""
    start = tf.strings.substr(data, 0, HEADER_BYTES)

    def read() -> Any:
        # Zero-bytes at the end let every fixed-size read below stay inside the tensor.
        header = tf.cast(tf.io.decode_raw(start, tf.uint8), tf.int32)
        size = tf.size(header)
        padded = tf.concat([header, tf.zeros([16], tf.int32)], 0)
        tiff, end = _find_exif(padded, size)
        return tf.cond(tiff > 0, lambda: _tiff_orientation(padded, tiff, end), lambda: UPRIGHT)

    # The walk through the segments takes as long as decoding a small picture, and most pictures of
    # the web have no EXIF: then its mark is nowhere, which a search finds at once.
    parts = tf.raw_ops.StringSplitV2(input=[start], sep=EXIF_MARK, maxsplit=1).values
    return tf.cond(tf.size(parts) > 1, read, lambda: UPRIGHT)


def _find_exif(header: Any, size: Any) -> tuple[Any, Any]:
    """Return the positions where the EXIF block's TIFF part begins and ends, or zeros."""

    def goes_on(position: Any, tiff: Any, end: Any, count: Any) -> Any:
        del tiff, end
        return (position > 0) & (count < MAX_SEGMENTS)

    def step(position: Any, tiff: Any, end: Any, count: Any) -> tuple[Any, Any, Any, Any]:
        marker = header[position + 1]
        length = header[position + 2] * 256 + header[position + 3]
        sound = (
            (position + 4 <= size)
            & (header[position] == 0xFF)
            & (marker != 0xDA)
            & (marker != 0xD9)
            & (length >= 2)
        )
        is_exif = (
            sound
            & (marker == 0xE1)
            & tf.reduce_all(header[position + 4 : position + 10] == [69, 120, 105, 102, 0, 0])
        )
        after = position + 2 + length
        return (
            # 0 ends the loop; a position beyond the header is a chain that leads nowhere.
            tf.where(sound & ~is_exif & (after + 4 <= size), after, 0),
            tf.where(is_exif, position + 10, tiff),
            tf.where(is_exif, tf.minimum(after, size), end),
            count + 1,
        )

    start = tf.where((size >= 6) & tf.reduce_all(header[:2] == [0xFF, 0xD8]), 2, 0)
    _, tiff, end, _ = tf.while_loop(goes_on, step, [start, 0, 0, 0], parallel_iterations=1)
    return tiff, end


def _tiff_orientation(header: Any, tiff: Any, end: Any) -> Any:
    block = header[tiff:end]
    size = tf.size(block)
    block = tf.concat([block, tf.zeros([16], tf.int32)], 0)
    little = tf.reduce_all(block[:4] == [73, 73, 42, 0])
    big = tf.reduce_all(block[:4] == [77, 77, 0, 42])

    def short(at: Any) -> Any:
        low, high = tf.gather(block, at), tf.gather(block, at + 1)
        return tf.where(little, low + 256 * high, high + 256 * low)

    def long(at: Any) -> Any:
        first, second = short(at), short(at + 2)
        # Offsets beyond the header are unsound anyway: keep the sum inside int32.
        low, high = tf.where(little, first, second), tf.where(little, second, first)
        return tf.where(high > 0x3FFF, 0x3FFFFFFF, low + 65536 * high)

    directory = tf.where(size >= 8, long(4), 0x3FFFFFFF)
    readable = (little | big) & (directory + 2 <= size)

    def read() -> Any:
        entries = directory + 2 + 12 * tf.range(short(directory))
        # Entries are read in order and reading stops at the first that is cut off.
        entries = tf.boolean_mask(entries, entries + 12 <= size)
        found = tf.boolean_mask(entries, short(entries) == ORIENTATION_TAG)

        def value() -> Any:
            entry = found[0]
            number = short(entry + 8)
            sound = (short(entry + 2) == 3) & (long(entry + 4) == 1) & (number >= 1) & (number <= 8)
            return tf.where(sound, number, UPRIGHT)

        return tf.cond(tf.size(found) > 0, value, lambda: UPRIGHT)

    return tf.cond(readable, read, lambda: UPRIGHT)


def turn_upright(image: Any, orientation: Any) -> Any:
    """Undo an EXIF orientation of one picture (height, width, 3)."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    image = tf.cond(upside_down, lambda: tf.reverse(image, [0]), lambda: image)
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
