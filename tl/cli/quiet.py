"""Start TensorFlow without the lines that its C++ part writes to every user's terminal."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_NOISE = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} \d\d|[IW]\d{10}|To enable")


def start_keras() -> None:
    """Import Keras and its backend; what they complain of is shown, what they mention is not."""
    with _without_noise():
        import keras  # noqa: F401 - imported for its backend


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back stderr at the level of the file descriptor, where C++ writes."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _NOISE.match(line):
                    os.write(2, line)
