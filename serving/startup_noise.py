"""Import TensorFlow without the lines that its C++ part writes to every user's terminal."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Written before TensorFlow's logging is set up, so that no log level holds them back: which
# instructions are used, that there is no GPU. `tl doctor` says the same in words.
_NOISE = re.compile(rb"WARNING: All log messages before absl|[IW]0000 \d|To enable the following")


@contextlib.contextmanager
def without_startup_noise() -> Iterator[None]:
    """Hold back stderr at the level of the file descriptor; what is no such line is shown after.

    Only around imports, in the main thread: other threads' lines would wait as well.
    """
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
