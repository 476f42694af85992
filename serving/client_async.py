"""Ask a server for predictions from an event loop.

async with AsyncClient("http://localhost:8501/flowers") as client:
    answer = await client.predict(["rose.jpg", "tulip.jpg"])
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import closing
from typing import Any, Self

from serving.client_answers import Answer, join, rows
from serving.client_pictures import BATCH_SIZE, Batch, Pictures, batches_of
from serving.client_session import Session
from serving.client_tls import PathLike
from serving.client_window import CONCURRENCY, in_order


class AsyncClient:
    """A model on a server, for one event loop.

    As `serving.Client`, with `await` and `async with`. Files are read and pictures encoded on
    threads, so that the loop goes on meanwhile; an iterable of pictures is iterated on the loop.
    The first client for gRPC of a process takes some seconds to import TensorFlow's messages.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        ca: PathLike | None = None,
        certificate: PathLike | None = None,
        key: PathLike | None = None,
    ) -> None:
        """Look at the arguments, which are those of `serving.Client`; nothing is sent yet.

        Raises:
            InvalidArgument: one of them is wrong.
        """
        self._session = Session(
            url, model, timeout_s=timeout_s, retries=retries, ca=ca, certificate=certificate,
            key=key,
        )  # fmt: skip

    @property
    def model(self) -> str | None:
        """The name of the model; None until the server was asked for it."""
        return self._session.model

    async def predict(
        self,
        pictures: Pictures,
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
        *,
        batch_size: int = BATCH_SIZE,
        concurrency: int = CONCURRENCY,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run a signature on pictures; see `serving.Client.predict`."""
        ask = self._session.asker(signature_name, input_name, timeout_s, is_for_all=True)
        batches = batches_of(pictures, batch_size)
        with closing(in_order(batches, _as_task(ask), concurrency)) as asked:
            return join([await answer for _, answer in asked])

    def predict_each(
        self,
        pictures: Pictures,
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
        *,
        batch_size: int = BATCH_SIZE,
        concurrency: int = CONCURRENCY,
        timeout_s: float | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the answer to each picture, for `async for`; see `serving.Client.predict_each`."""
        ask = self._session.asker(signature_name, input_name, timeout_s, is_for_all=False)
        return _rows(in_order(batches_of(pictures, batch_size), _as_task(ask), concurrency))

    async def predict_bytes(
        self,
        values: Sequence[bytes],
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run a signature on byte strings; see `serving.Client.predict_bytes`."""
        return await self._session.predict_bytes(values, signature_name, input_name, timeout_s)

    async def status(self, *, timeout_s: float | None = None) -> dict[int, str]:
        """Give the state of each version; see `serving.Client.status`."""
        return await self._session.status(timeout_s)

    async def metadata(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Give the signatures of the newest version; see `serving.Client.metadata`."""
        return await self._session.metadata(timeout_s)

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        try:
            await self._session.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


Asked = Generator[tuple[Batch, "asyncio.Task[Answer]"], None, None]


def _as_task(
    ask: Callable[[Batch], Coroutine[Any, Any, Answer]],
) -> Callable[[Batch], "asyncio.Task[Answer]"]:
    return lambda batch: asyncio.create_task(ask(batch))


async def _rows(asked: Asked) -> AsyncIterator[dict[str, Any]]:
    with closing(asked):
        for batch, answer in asked:
            for row in rows(batch, await answer):
                yield row
