"""A line of JSON for every request: who asked for what, what came of it, and how long it took."""

import contextlib
import logging
import re
import sys
import uuid
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import orjson

from serving.errors import StartError

ID_HEADER = "X-Request-Id"
# What clients send goes into the log and back to them as a header.
_GOOD_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


class AccessLog:
    """Writes lines to a file, or to stdout; safe to use from several threads."""

    def __init__(self, path: str) -> None:
        """Open the log.

        Args:
            path: of the file, to whose end lines are added and which may be moved away at any
                time (it is then made anew); `-` is stdout.

        Raises:
            StartError: the file cannot be written.
        """
        self._handler: logging.StreamHandler[Any]
        try:
            self._handler = (
                logging.StreamHandler(sys.stdout)
                if path == "-"
                else WatchedFileHandler(Path(path), encoding="utf-8")
            )
        except OSError as error:
            raise StartError(
                f"cannot write --access_log {path}: {error.strerror or error}"
            ) from error
        self._handler.handleError = self._warn_once  # type: ignore[method-assign]
        self._has_failed = False

    def write(self, **fields: Any) -> None:
        """Write a line; where that fails, requests are answered all the same."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"time": now, **fields}, default=str).decode()
        self._handler.handle(logging.LogRecord("access", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """End the file."""
        with contextlib.suppress(OSError):  # what could not be written before
            self._handler.close()

    def _warn_once(self, record: logging.LogRecord) -> None:
        del record
        if not self._has_failed:
            self._has_failed = True
            logging.getLogger(__name__).warning(
                "cannot write the access log: %s", sys.exc_info()[1]
            )


def request_id(given: str) -> str:
    """Return the id that a request came with, if it is one that can be written, or a new one."""
    return given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
