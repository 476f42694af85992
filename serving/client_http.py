"""HTTP/1.1 on connections that are kept open between requests.

The bytes are h11's, which the server has from uvicorn as well; here are only the sockets.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass

import h11

from serving.client_address import Address

_CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back, whatever its status.

    Attributes:
        headers: by their names in small letters.
    """

    status: int
    headers: dict[str, str]
    content: bytes


class HttpPool:
    """Connections to one server, on one event loop: as many as there are requests at once."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._idle: list[_Connection] = []

    async def request(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """Send one request and read its answer.

        Raises:
            OSError: nobody is there, or the connection ended before the answer was whole.
            h11.RemoteProtocolError: the answer is no HTTP.
        """
        head = h11.Request(
            method=method,
            target=path,
            headers=[
                ("Host", self._address.netloc),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
            ],
        )
        while self._idle:
            kept = self._idle.pop()
            if kept.is_closed:
                kept.abort()
                continue
            try:
                return await self._exchange(kept, head, body)
            except ConnectionError:
                if kept.has_heard:
                    raise
                # The server had closed it meanwhile; a new one tells whether it is still there.
                break
        return await self._exchange(await self._open(), head, body)

    async def close(self) -> None:
        """Close the connections that no request uses."""
        while self._idle:
            await self._idle.pop().close()

    async def _open(self) -> "_Connection":
        reader, writer = await asyncio.open_connection(
            self._address.host, self._address.port, ssl=self._tls
        )
        return _Connection(reader, writer)

    async def _exchange(
        self, connection: "_Connection", head: h11.Request, body: bytes
    ) -> HttpAnswer:
        try:
            answer = await connection.exchange(head, body)
        except BaseException:
            # Half of an answer may be left on it.
            connection.abort()
            raise
        if connection.can_be_kept():
            self._idle.append(connection)
        else:
            connection.abort()
        return answer


class _Connection:
    """One socket, with the state of HTTP on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)
        self._is_over = False
        self.has_heard = False

    @property
    def is_closed(self) -> bool:
        """Tell whether the other side is known to have closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def exchange(self, head: h11.Request, body: bytes) -> HttpAnswer:
        self.has_heard = False
        # All at once and without waiting, so that a server that refuses a body before it has
        # all of it is heard.
        for event in (head, h11.Data(body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        status, headers, parts = 0, {}, []
        while True:
            match await self._next_event():
                case h11.Response() as response:
                    status = response.status_code
                    headers = {name.decode(): value.decode("latin-1")
                               for name, value in response.headers}  # fmt: skip
                case h11.Data() as data:
                    parts.append(bytes(data.data))
                case h11.EndOfMessage():
                    return HttpAnswer(status, headers, b"".join(parts))

    def can_be_kept(self) -> bool:
        """Make ready for another request; False where the server wants to close."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self.abort()
        with suppress(OSError):  # it was broken before
            await self._writer.wait_closed()

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if self._is_over:
                    raise self._cut_off() from error
                raise
            if event is not h11.NEED_DATA:
                return event
            received = await self._reader.read(_CHUNK_BYTES)
            self._is_over = not received
            self.has_heard = self.has_heard or bool(received)
            if not self.has_heard:
                raise self._cut_off()
            self._http.receive_data(received)

    def _cut_off(self) -> ConnectionError:
        return ConnectionResetError("the server closed the connection before it had answered")
