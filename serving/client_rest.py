"""The client's REST side: neither TensorFlow nor gRPC."""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import h11
import numpy as np

from serving.client_address import Address
from serving.client_http import HttpAnswer, HttpPool
from serving.client_tls import ClientTls
from serving.errors import ClientError, Code, Refused, Unreachable
from serving.json_tensor import Array

_CODE_OF_STATUS = {
    # 400 and 500 stand for several codes; these are the ones most often meant.
    **{code.http_status: code for code in reversed(Code)},
    413: Code.RESOURCE_EXHAUSTED,
    500: Code.INTERNAL,
}
_TRANSIENT_STATUSES = (429, 503)
_MOST_SHOWN = 300  # characters of an error that is not from a model server


class RestTransport:
    """Calls over HTTP; no answer waits longer than its caller does."""

    def __init__(self, address: Address, tls: ClientTls | None) -> None:
        self._address = address
        self._pool = HttpPool(address, None if tls is None else tls.context)

    async def predict(
        self,
        model: str,
        signature_name: str,
        input_name: str,
        values: Sequence[bytes],
        timeout_s: float,
    ) -> dict[str, Array]:
        """Run one signature on a batch of byte strings."""
        # Megabytes of base64 would hold up the event loop.
        body = await asyncio.to_thread(_predict_body, signature_name, input_name, values)
        outputs = await self._call("POST", f"{_path(model)}:predict", "outputs", body)
        if not isinstance(outputs, dict):
            # The protocol leaves the name out where there is one output only; the metadata has it.
            metadata = await self.metadata(model, timeout_s)
            signature = metadata["metadata"]["signature_def"]["signature_def"]
            outputs = {next(iter(signature[signature_name]["outputs"])): outputs}
        return {name: _as_array(value) for name, value in outputs.items()}

    async def status(self, model: str, timeout_s: float) -> dict[int, str]:
        """Give version -> state."""
        del timeout_s
        versions = await self._call("GET", _path(model), "model_version_status")
        return {int(version["version"]): version["state"] for version in versions}

    async def metadata(self, model: str, timeout_s: float) -> dict[str, Any]:
        """Give the metadata as it comes."""
        del timeout_s
        path = f"{_path(model)}/metadata"
        document: dict[str, Any] = await self._call("GET", path)
        return document

    async def list_models(self, timeout_s: float) -> list[str] | None:
        """Name the models; None where the server does not tell."""
        del timeout_s
        try:
            models = await self._call("GET", "/v1/models", "models")
        except Refused as error:
            if error.transient:
                raise
            return None  # tensorflow_model_server has no list
        return [model["name"] for model in models]

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def _call(
        self, method: str, path: str, member: str | None = None, body: bytes = b""
    ) -> Any:
        """Return a member of the answer's JSON, or all of it."""
        where = f"{self._address}{path}"
        try:
            answer = await self._pool.request(method, path, body)
        except h11.RemoteProtocolError as error:
            raise Unreachable(f"{where} does not answer in HTTP: is this the REST port?") from error
        except ssl.SSLError as error:
            raise Unreachable(
                f"cannot reach {where}: TLS failed: {error}. Is this an encrypted port, does ca= "
                "name who signed its certificate, and does it ask for certificate= and key=?"
            ) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host
            raise Unreachable(
                f"cannot reach {where}: {error}. Is the server running, and is this its REST port?",
                transient=not isinstance(error, socket.gaierror | UnicodeError),
            ) from error
        if answer.status != 200:
            raise _refusal(where, answer)
        try:
            document = json.loads(answer.content)
        except ValueError as error:
            raise Unreachable(f"{where} does not answer in JSON: is this the REST port?") from error
        if not isinstance(document, dict) or (member is not None and member not in document):
            raise Unreachable(
                f"{where} does not answer with {member or 'an object'}: is this the REST port of a "
                "model server?"
            )
        return document if member is None else document[member]


def _path(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}"


def _predict_body(signature_name: str, input_name: str, values: Sequence[bytes]) -> bytes:
    encoded = [{"b64": base64.b64encode(value).decode()} for value in values]
    return json.dumps({"signature_name": signature_name, "inputs": {input_name: encoded}}).encode()


def _refusal(where: str, answer: HttpAnswer) -> Refused:
    try:
        message = json.loads(answer.content)["error"]
    except (ValueError, KeyError, TypeError):  # a proxy's page
        message = answer.content.decode(errors="replace").strip()[:_MOST_SHOWN]
    return Refused(
        _CODE_OF_STATUS.get(answer.status, Code.UNKNOWN),
        f"{where} answered {answer.status}: {message}",
        transient=answer.status in _TRANSIENT_STATUSES,
        retry_after_s=retry_after_s(answer.headers.get("retry-after", "")),
    )


def retry_after_s(header: str) -> float:
    """Read `Retry-After`, seconds or a date; what cannot be read asks for no wait."""
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if until.tzinfo is None:  # "-0000", which is UTC too
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _as_array(value: Any) -> Array:
    try:
        array = np.array(value)
    except ValueError as error:
        raise ClientError(f"an output is no array: {error}") from error
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind == "O":
        raise ClientError("an output is no array of numbers or strings: use gRPC for it")
    return array
