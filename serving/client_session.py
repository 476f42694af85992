"""One model on one server: what `Client` and `AsyncClient` are two fronts of.

All waiting is done here, on an event loop: one way to keep a deadline, to retry and to give up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from serving.client_address import Address, parse_address
from serving.client_answers import Answer
from serving.client_arguments import byte_strings, check_path, check_text
from serving.client_pictures import Batch
from serving.client_retry import Deadline, call, check_retries, check_timeout
from serving.client_tls import ClientTls, PathLike, read_tls
from serving.client_window import as_one_call, left_in_peace
from serving.errors import Closed, InvalidArgument

Result = TypeVar("Result")


class Transport(Protocol):
    """What the two transports have in common: one attempt at a call.

    `timeout_s` is for the server to know; whoever calls also stops waiting by itself.
    """

    async def predict(
        self,
        model: str,
        signature_name: str,
        input_name: str,
        values: Sequence[bytes],
        timeout_s: float,
    ) -> Answer:
        """Run one signature on a batch of byte strings."""

    async def status(self, model: str, timeout_s: float) -> dict[int, str]:
        """Give version -> state."""

    async def metadata(self, model: str, timeout_s: float) -> dict[str, Any]:
        """Give the metadata in the JSON form of the REST interface."""

    async def list_models(self, timeout_s: float) -> list[str] | None:
        """Name the models; None where the server does not tell."""

    async def close(self) -> None:
        """Close the connections."""


class Session:
    """Calls to a model, each with its retries within its deadline."""

    def __init__(
        self,
        url: str,
        model: str | None,
        *,
        timeout_s: float,
        retries: int,
        ca: PathLike | None,
        certificate: PathLike | None,
        key: PathLike | None,
    ) -> None:
        """Look at the arguments, which are those of `serving.Client`; nothing is sent yet.

        Raises:
            InvalidArgument: one of them is wrong.
            TypeError: one of them is of the wrong type.
        """
        check_text("url", url)
        if model is not None:
            check_text("model", model)
        for name, path in (("ca", ca), ("certificate", certificate), ("key", key)):
            check_path(name, path)
        address = parse_address(url)
        if model is not None and address.model is not None and model != address.model:
            raise InvalidArgument(
                f"two models, {model!r} as an argument and {address.model!r} in {url}: give one"
            )
        self.model = model or address.model
        self._address = address
        self._timeout_s = check_timeout(timeout_s)
        self._retries = check_retries(retries)
        self._transport = _connect(address, read_tls(address, ca, certificate, key))
        self._is_closed = False

    async def open(self, deadline: Deadline | None = None) -> str:
        """Return the model's name, asking the server where none was given.

        Args:
            deadline: None takes the time of the session.

        Raises:
            InvalidArgument: the server does not tell, or has several.
            ClientError: no answer, or an error as the answer.
        """
        if self.model is None:
            names = await self._call(self._transport.list_models, deadline or self._deadline(None))
            if names is None or len(names) != 1:
                found = f"; it has {', '.join(names) or 'none yet'}" if names is not None else ""
                raise InvalidArgument(
                    f"which model of {self._address}? Add /MODEL to the address{found}"
                )
            self.model = names[0]
        return self.model

    def asker(
        self, signature_name: str, input_name: str, timeout_s: float | None, *, is_for_all: bool
    ) -> Callable[[Batch], Coroutine[Any, Any, Answer]]:
        """Make the function that asks about one batch of pictures.

        Args:
            signature_name: of the model.
            input_name: of the signature.
            timeout_s: None takes that of the session.
            is_for_all: the batches are one call: its time runs from now, and the first failure
                is that of all.
        """
        _check_names(signature_name, input_name)
        for_all = self._deadline(timeout_s)

        async def ask(batch: Batch) -> Answer:
            deadline = for_all if is_for_all else self._deadline(timeout_s)
            with batch.named_in_errors():
                values = await asyncio.to_thread(batch.encode)
                return await self._predict(values, signature_name, input_name, deadline)

        return left_in_peace(as_one_call(ask) if is_for_all else ask)

    async def predict_bytes(
        self,
        values: Sequence[bytes],
        signature_name: str,
        input_name: str,
        timeout_s: float | None,
    ) -> Answer:
        """Ask in one request."""
        _check_names(signature_name, input_name)
        values = byte_strings(values)
        if not values:
            raise InvalidArgument("no values to predict: give at least one byte string")
        deadline = self._deadline(timeout_s)
        return await self._predict(values, signature_name, input_name, deadline)

    async def status(self, timeout_s: float | None) -> dict[int, str]:
        """Give version -> state."""
        deadline = self._deadline(timeout_s)
        model = await self.open(deadline)
        return await self._call(lambda left_s: self._transport.status(model, left_s), deadline)

    async def metadata(self, timeout_s: float | None) -> dict[str, Any]:
        """Give the metadata in the JSON form of the REST interface."""
        deadline = self._deadline(timeout_s)
        model = await self.open(deadline)
        return await self._call(lambda left_s: self._transport.metadata(model, left_s), deadline)

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        await self._transport.close()

    async def _predict(
        self, values: Sequence[bytes], signature_name: str, input_name: str, deadline: Deadline
    ) -> Answer:
        model = await self.open(deadline)
        return await self._call(
            lambda left_s: self._transport.predict(
                model, signature_name, input_name, values, left_s
            ),
            deadline,
        )

    async def _call(
        self, attempt: Callable[[float], Awaitable[Result]], deadline: Deadline
    ) -> Result:
        if self._is_closed:
            raise Closed("this client is closed: make another")
        return await call(attempt, str(self._address), self._retries, deadline)

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return Deadline.in_s(self._timeout_s if timeout_s is None else check_timeout(timeout_s))


def _check_names(signature_name: str, input_name: str) -> None:
    check_text("signature_name", signature_name)
    check_text("input_name", input_name)


def _connect(address: Address, tls: ClientTls | None) -> Transport:
    if address.is_grpc:
        from serving.client_grpc import GrpcTransport

        return GrpcTransport(address, tls)
    from serving.client_rest import RestTransport

    return RestTransport(address, tls)
