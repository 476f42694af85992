"""Pictures that come as they are, without JSON around them.

    curl --data-binary @cat.jpg http://localhost:8501/v1/models/cats:predict

A body that begins as a picture does is one: no JSON begins so, and TF Serving would refuse it, so
no request that it answers has another meaning here.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from serving.errors import InvalidArgument
from serving.json_tensor import Array

# JPEG, PNG, GIF, BMP, JPEG XL as a stream and in its box.
_BEGINNINGS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ",
)  # fmt: skip


def is_picture(body: bytes) -> bool:
    """Tell whether a body is a picture by its first bytes."""
    is_webp = body[:4] == b"RIFF" and body[8:12] == b"WEBP"
    return is_webp or body.startswith(_BEGINNINGS)


def picture_inputs(pictures: Sequence[bytes], types: Mapping[str, str]) -> dict[str, Array]:
    """Return pictures as the one input of a signature that takes bytes.

    Args:
        pictures: encoded.
        types: input name -> TensorFlow's name of its type.

    Raises:
        InvalidArgument: no picture, or a signature of other inputs.
    """
    if not pictures:
        raise InvalidArgument("the form has no files: send each picture as a file of it")
    if list(types.values()) != ["string"]:
        wanted = ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items()))
        raise InvalidArgument(
            f"pictures need a signature with one input of strings; this one takes {wanted}"
        )
    batch = np.empty(len(pictures), object)
    batch[:] = pictures
    return {next(iter(types)): batch}
