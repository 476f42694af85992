"""The client's REST side, with nothing but the standard library."""

import base64
import http.client
import json
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from serving.errors import ClientError, Code, Refused, TimedOut, Unreachable
from serving.json_tensor import Array

_CODE_OF_STATUS = {
    # 400 and 500 stand for several codes; these are the ones most often meant.
    **{code.http_status: code for code in reversed(Code)},
    500: Code.INTERNAL,
}


class RestTransport:
    """Calls over HTTP, on a connection a thread that is kept open between them."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def predict(
        self, model: str, signature_name: str, input_name: str, values: Sequence[bytes]
    ) -> dict[str, Array]:
        """Run one signature on a batch of byte strings."""
        encoded = [{"b64": base64.b64encode(value).decode()} for value in values]
        request = {"signature_name": signature_name, "inputs": {input_name: encoded}}
        path = f"/v1/models/{quote(model, safe='')}:predict"
        outputs = self._call("POST", path, json.dumps(request).encode())["outputs"]
        if not isinstance(outputs, dict):
            # The protocol leaves the name out where there is one output only; the metadata has it.
            signature = self.metadata(model)["metadata"]["signature_def"]["signature_def"]
            outputs = {next(iter(signature[signature_name]["outputs"])): outputs}
        return {name: _as_array(value) for name, value in outputs.items()}

    def status(self, model: str) -> dict[int, str]:
        """Give version -> state."""
        answer = self._call("GET", f"/v1/models/{quote(model, safe='')}")
        return {int(entry["version"]): entry["state"] for entry in answer["model_version_status"]}

    def metadata(self, model: str) -> dict[str, Any]:
        """Give the metadata as it comes."""
        return self._call("GET", f"/v1/models/{quote(model, safe='')}/metadata")

    def list_models(self) -> list[str] | None:
        """Name the models; None where the server does not tell."""
        try:
            answer = self._call("GET", "/v1/models")
        except Refused:
            return None  # tensorflow_model_server has no list
        return [model["name"] for model in answer["models"]]

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        where = f"http://{self._host}:{self._port}{path}"
        try:
            status, content = self._exchange(method, path, body)
        except TimeoutError as error:
            raise TimedOut(
                f"{where} did not answer within {self._timeout_s:g} s: "
                "raise timeout_s, or send fewer examples at once"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"cannot reach {where}: {error}. Is the server running, and is this its REST port?"
            ) from error
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise Unreachable(f"{where} does not answer in JSON: is this the REST port?") from error
        if status != 200 or not isinstance(answer, dict):
            message = answer.get("error", answer) if isinstance(answer, dict) else answer
            code = _CODE_OF_STATUS.get(status, Code.UNKNOWN)
            raise Refused(code, f"{where} answered {status}: {message}")
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            try:
                connection.request(method, path, body)
                response = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                # A kept connection that the server has closed meanwhile; a new one tells whether
                # it is still there.
                connection.close()
                connection.request(method, path, body)
                response = connection.getresponse()
            return response.status, response.read()
        except BaseException:
            # Half of an answer may be left on it.
            connection.close()
            raise

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
            self._local.connection = connection
            self._connections.append(connection)
        return connection


def _as_array(value: Any) -> Array:
    array = np.array(value)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind == "O":
        raise ClientError("an output is no array of numbers or strings: use gRPC for it")
    return array
