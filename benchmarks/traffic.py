"""Clients that cost little beside the server that they measure, as they share its processors.

Requests are bytes that were made before, answers are not parsed beyond their status. One thread
with an event loop plays all clients.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

MOST_WAITING = 5000
"""Requests of an open loop that may wait for answers; the rest would only fill memory."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is asked.

    Attributes:
        name: of the server and its protocol.
        connect: opens a connection, which gives calls that send the request of a number.
    """

    name: str
    connect: Callable[[], Any]


@dataclass(slots=True)
class Answers:
    """What came back.

    Attributes:
        seconds: of the loop.
        latencies: seconds, of the answers that were good.
        refused: answers that said that there is too much to do.
        failed: all other ones.
    """

    seconds: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the latencies."""
        return float(np.percentile(self.latencies, share)) * 1e3 if self.latencies else float("nan")


class Refused(Exception):
    """The server has too much to do."""


class HttpConnection:
    """One connection that is kept alive.

    Args:
        host: name and port.
        path: of the URL.
        bodies: of the requests; number i sends body i.
        headers: of each.
    """

    def __init__(self, host: str, path: str, bodies: Sequence[bytes], **headers: str) -> None:
        self._host, self._port = host.split(":")
        lines = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
        self._requests = [
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
            .encode() + body
            for body in bodies
        ]  # fmt: skip

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def call(self, number: int) -> None:
        """Send one request and wait for the whole answer.

        Raises:
            Refused: with 429 or 503.
            OSError: with any other status that is not 200.
        """
        self._writer.write(self._requests[number % len(self._requests)])
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, length = head[9:12], 0
        for line in head.lower().split(b"\r\n")[1:]:
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        body = await self._reader.readexactly(length)
        if status in (b"429", b"503"):
            raise Refused
        if status != b"200":
            raise OSError(f"status {status!r}: {body[:200]!r}")


class GrpcConnection:
    """A connection that speaks as much of HTTP/2 as one gRPC call after the other needs.

    A tenth of the work of gRPC's own Python client, which would take a fifth of the processors.

    Args:
        target: address.
        requests: serialised, of less than 64 KiB, which need no flow control within a call.
    """

    _METHOD = "/tensorflow.serving.PredictionService/Predict"
    _DATA, _HEADERS, _SETTINGS, _PING, _WINDOW = 0, 1, 4, 6, 8
    _END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
    _BUSY = (b"8", b"14")

    def __init__(self, target: str, requests: Sequence[bytes]) -> None:
        self._host, self._port = target.split(":")
        self._messages = [b"\0" + len(one).to_bytes(4, "big") + one for one in requests]
        headers = {":method": "POST", ":scheme": "http", ":path": self._METHOD,
                   ":authority": target, "content-type": "application/grpc",
                   "te": "trailers", "grpc-timeout": "30S"}  # fmt: skip
        self._head = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in headers.items()
        )
        self._stream, self._window = -1, 65_535

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        # No table of headers, so that each block can be read by itself; a large window.
        no_table = (1).to_bytes(2, "big") + bytes(4)
        self._writer.write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + self._frame(self._SETTINGS, 0, 0, no_table)
            + self._frame(self._WINDOW, 0, 0, (2**30).to_bytes(4, "big"))
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def call(self, number: int) -> None:
        """Send one request; raises as `HttpConnection.call`."""
        message = self._messages[number % len(self._messages)]
        self._stream += 2
        while self._window < len(message):
            await self._take_frame()
        self._window -= len(message)
        parts = [message[at : at + 16_384] for at in range(0, len(message), 16_384)]
        frames = [self._frame(self._HEADERS, self._END_HEADERS, self._stream, self._head)]
        for part in parts:
            end = self._END_STREAM if part is parts[-1] else 0
            frames.append(self._frame(self._DATA, end, self._stream, part))
        self._writer.write(b"".join(frames))
        while True:
            kind, flags, stream, payload = await self._take_frame()
            if stream == self._stream and kind not in (self._DATA, self._HEADERS, self._WINDOW):
                raise OSError(f"frame of kind {kind}")
            if stream == self._stream and flags & self._END_STREAM and kind == self._HEADERS:
                break
        begin = payload.index(b"grpc-status") + len(b"grpc-status")
        status = payload[begin + 1 : begin + 1 + payload[begin]]
        if status in self._BUSY:
            raise Refused
        if status != b"0":
            raise OSError(f"gRPC status {status!r}: {payload!r}")

    async def _take_frame(self) -> tuple[int, int, int, bytes]:
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == self._WINDOW and stream == 0:
            self._window += int.from_bytes(payload, "big")
        elif kind in (self._SETTINGS, self._PING) and not flags & self._ACK:
            answer = payload if kind == self._PING else b""
            self._writer.write(self._frame(kind, self._ACK, 0, answer))
        return kind, flags, stream, payload

    @staticmethod
    def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        size = len(payload).to_bytes(3, "big")
        return size + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def closed_loop(way: Way, clients: int, seconds: float, most: int = 100_000) -> Answers:
    """Let some clients each ask again as soon as they are answered."""

    async def run() -> Answers:
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(way.connect()) for _ in range(clients)]
            await asyncio.gather(*(one.call(place) for place, one in enumerate(connections)))
            answers, began = Answers(0.0), time.perf_counter()
            left = iter(range(most))

            async def client(place: int, connection: Any) -> None:
                number = place
                while time.perf_counter() < began + seconds and next(left, None) is not None:
                    await _timed(answers, connection.call(number), time.perf_counter())
                    number += clients

            await asyncio.gather(*(client(*one) for one in enumerate(connections)))
            answers.seconds = time.perf_counter() - began
            return answers

    return asyncio.run(run())


def open_loop(way: Way, rate: float, seconds: float, connections: int = 64) -> Answers:
    """Ask at a constant rate, whether answers come or not; latencies count from the due time."""

    async def run() -> Answers:
        async with AsyncExitStack() as stack:
            idle: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
            opened = 0

            async def one(number: int, due: float) -> None:
                nonlocal opened
                if idle.empty() and opened < MOST_WAITING:
                    opened += 1
                    idle.put_nowait(await stack.enter_async_context(way.connect()))
                connection = await idle.get()
                await _timed(answers, connection.call(number), due)
                idle.put_nowait(connection)

            for _ in range(connections):
                opened += 1
                idle.put_nowait(await stack.enter_async_context(way.connect()))
            answers, tasks, began = Answers(seconds), set(), time.perf_counter()
            for number in range(round(rate * seconds)):
                due = began + number / rate
                if (pause := due - time.perf_counter()) > 0:
                    await asyncio.sleep(pause)
                if len(tasks) >= MOST_WAITING:
                    answers.failed += 1
                    continue
                task = asyncio.create_task(one(number, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if tasks:
                await asyncio.wait(tasks, timeout=30)
            answers.failed += len(tasks)
            return answers

    return asyncio.run(run())


async def _timed(answers: Answers, call: Awaitable[None], began: float) -> None:
    try:
        await call
    except Refused:
        answers.refused += 1
    except OSError:
        answers.failed += 1
    else:
        answers.latencies.append(time.perf_counter() - began)
