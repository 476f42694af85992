"""Connections of REST: bounded in number, in time and in what they may say in the log.

uvicorn waits for ever for the head of a request and for a client to take its answer, and writes a
line for each request that is none.
"""

import asyncio
import logging
import time
from typing import Any

from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_REFUSED = 32  # connections at a time whose request is read before they are told so
_RESERVED_FILES = 64 + _MOST_REFUSED  # for models, logs and gRPC
_MOST_HEAD_S = 10.0
_MOST_AROUND_BYTES = 2**20  # around the chunks of a body, and behind it
_MOST_URL_BYTES = 2**16 - 1  # that can be taken apart
_SAY_EVERY_S = 10.0
_KEPT_ALIVE = (b"connection", b"keep-alive")
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n"
    b"Connection: close\r\n\r\ntoo many connections\n"
)
_TOO_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nContent-Length: 38\r\n"
    b"Connection: close\r\n\r\nthe head of the request took too long\n"
)

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 37\r\nConnection: close\r\n\r\nthe head of the request is too large\n"
)

logger = logging.getLogger(__name__)


class Connection(HttpToolsProtocol):
    """A connection that has to say what it wants in time and in few words, and take the answer."""

    def __init__(
        self, *, most: int, most_head_bytes: int, patience_s: float, **uvicorns: Any
    ) -> None:
        """Make one of a server's connections.

        Args:
            most: of them at a time; what comes beyond is told so and closed, and takes nothing
                from those there are.
            most_head_bytes: of a request.
            patience_s: for a client to take some more of its answer. It has as long, and
                `_MOST_HEAD_S` at most, for the head of a request.
            uvicorns: what uvicorn gives.
        """
        super().__init__(**uvicorns)
        self._most, self._patience_s = most, patience_s
        self._most_head_bytes = most_head_bytes
        self._head_timer: asyncio.TimerHandle | None = None
        self._has_head, self._head_bytes = False, 0  # of the request that is read or answered
        self._in_head, self._said_bytes = True, 0  # by the head that is read
        self._is_too_long = False
        self._sent_bytes = self._body_bytes = 0  # since its head

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many."""
        super().connection_made(transport)
        beyond = len(self.connections) - self._most
        if beyond > 0:
            logger.warning("more than %d connections over REST: new ones are refused", self._most)
            self.app: Any = service_unavailable
        if beyond > _MOST_REFUSED:
            self._end_with(_TOO_MANY)
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.transport.is_closing():
            return
        self._sent_bytes += len(data)
        super().data_received(data)
        if self._has_head:
            self._stop_waiting()
            # A chunk of one byte has six around it.
            if self._sent_bytes > _MOST_AROUND_BYTES + 8 * self._body_bytes:
                self._end_with(_TOO_LONG)
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._most_head_bytes:
            self._end_with(_TOO_LONG)
        else:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        self._in_head, self._said_bytes = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._count(len(url))
        super().on_url(url)
        if len(self.url) > _MOST_URL_BYTES:
            self._count(self._most_head_bytes)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a body in chunks is nobody's."""
        if self._in_head:
            self._count(len(name) + len(value))
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        self._has_head, self._in_head, self._head_bytes = True, False, 0
        self._sent_bytes = self._body_bytes = 0
        super().on_headers_complete()
        if self.parser.get_http_version() == "1.0" and self.parser.should_keep_alive():
            # Of this version clients take a connection for one that ends unless they are told.
            self.cycle.keep_alive = True
            self.cycle.default_headers = [*self.cycle.default_headers, _KEPT_ALIVE]

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or a head that came at once and is too long."""
        if self._is_too_long:
            self._end_with(_TOO_LONG)
        else:
            super().send_400_response(msg)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Wait for the next request, or begin to answer one that has come before its turn."""
        super().on_response_complete()
        self._has_head = not self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody uses, once its last answer is taken."""
        super().timeout_keep_alive_handler()
        self._wait_until_taken()

    def _count(self, count: int) -> None:
        """Count bytes of a head; one that comes in one piece is not seen otherwise."""
        self._said_bytes += count
        if self._said_bytes > self._most_head_bytes:
            self._is_too_long = True
            raise ValueError("the head is too long")  # which ends the parsing

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            wait_s = min(self._patience_s, _MOST_HEAD_S)
            self._head_timer = self.loop.call_later(wait_s, self._give_up_head)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        # Without a request an answer would be taken for that to the next.
        self._end_with(_TOO_LATE if self._head_bytes else b"")

    def _end_with(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()
        self._wait_until_taken()

    def _wait_until_taken(self, before: int = 0) -> None:
        left = self.transport.get_write_buffer_size()
        if left and left == before:
            self.transport.abort()
        elif left:
            self.loop.call_later(self._patience_s, self._wait_until_taken, left)


def most_connections(wanted: int, files: int | None) -> int:
    """Give how many connections there may be, of a process that may open so many files."""
    if files is None or files >= wanted + _RESERVED_FILES:
        return wanted
    most = max(1, files - _RESERVED_FILES)
    logger.warning(
        "at most %d connections over REST, and not %d: the process may open %d files; raise "
        "`ulimit -n`", most, wanted, files,
    )  # fmt: skip
    return most


class Seldom(logging.Filter):
    """Lets a message through once in a while, whatever is filled into it."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the message was not just said."""
        now_s, message = time.monotonic(), str(record.msg)
        if now_s < self._next_s.get(message, 0.0):
            return False
        self._next_s[message] = now_s + _SAY_EVERY_S
        return True


logger.addFilter(Seldom())
