"""Messages in protobuf's text format, as TF Serving's configuration files are written."""

from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.errors import StartError


def read_text_proto(path: Path, message: Any) -> Any:
    """Fill a message from a file, and return it.

    Raises:
        StartError: the file cannot be read, or holds no such message; in TF Serving's words.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message)
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror or error}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise StartError(f"Invalid protobuf file: '{path}': {error}") from error
