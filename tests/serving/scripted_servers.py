"""Two tiny servers that behave as they are told, to see what the client makes of it.

Each request gets the next step of a script; the last step goes on for ever. A prediction that is
answered has the outputs `size`, the length of each byte string, and `place`, its row; or others.
"""

import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2

from serving.tensor_proto import array_to_proto


class Step(Enum):
    ANSWER = auto()
    ANSWER_LATE = auto()  # after a tenth of a second
    ANSWER_AND_CLOSE = auto()  # the connection, without saying so
    SAY_UNAVAILABLE = auto()  # 503
    SAY_TOO_MANY = auto()  # 429; over gRPC the same as unavailable
    SAY_TOO_MANY_FOR_A_SECOND = auto()
    SAY_INVALID = auto()  # 400
    SAY_TOO_LATE = auto()  # 504
    PAGE_OF_A_PROXY = auto()  # 503 in HTML
    DROP = auto()  # close without an answer; over gRPC unavailable
    CUT = auto()  # close in the middle of an answer; over gRPC unavailable
    DRIP = auto()  # a byte at a time, without end; over gRPC hang
    HANG = auto()


_STATUSES = {
    Step.SAY_UNAVAILABLE: (503, grpc.StatusCode.UNAVAILABLE),
    Step.SAY_TOO_MANY: (429, grpc.StatusCode.UNAVAILABLE),
    Step.SAY_TOO_MANY_FOR_A_SECOND: (429, grpc.StatusCode.UNAVAILABLE),
    Step.SAY_INVALID: (400, grpc.StatusCode.INVALID_ARGUMENT),
    Step.SAY_TOO_LATE: (504, grpc.StatusCode.DEADLINE_EXCEEDED),
    Step.PAGE_OF_A_PROXY: (503, grpc.StatusCode.UNAVAILABLE),
    Step.DROP: (0, grpc.StatusCode.UNAVAILABLE),
    Step.CUT: (0, grpc.StatusCode.UNAVAILABLE),
}


Answer = Callable[[list[bytes]], dict[str, Any]]


def _sizes_and_places(values: list[bytes]) -> dict[str, Any]:
    return {"size": [len(value) for value in values], "place": list(range(len(values)))}


class Script:
    """The steps, and what was seen."""

    def __init__(
        self, *steps: Step, answer: Answer | None = None, as_content: bool = False
    ) -> None:
        self.steps = list(steps)
        self.answer = answer or _sizes_and_places
        self.as_content = as_content  # of tensors, over gRPC
        self.times: list[float] = []
        self.most_at_once = 0
        self.released = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        return len(self.times)

    def __enter__(self) -> Step:
        with self._lock:
            step = self.steps[min(len(self.times), len(self.steps) - 1)]
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        if step is Step.ANSWER_LATE:
            time.sleep(0.1)
        return step

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._at_once -= 1


class ScriptedRest:
    """Speaks REST."""

    def __init__(self, script: Script, port: int = 0) -> None:
        class Handler(_Handler):
            pass

        Handler.script = script
        self.script = script
        self._server = _Http(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/m"

    def stop(self) -> None:
        self.script.released.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 100

    def __init__(self, *words: Any) -> None:
        self._open: list[Any] = []
        super().__init__(*words)

    def get_request(self) -> Any:
        accepted = super().get_request()
        self._open.append(accepted[0])
        return accepted

    def close_connections(self) -> None:
        """Close what is kept open, as the end of a process does."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(2)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.script as step:
            self._act(step, body)

    def do_GET(self) -> None:
        self.do_POST()

    def _act(self, step: Step, body: bytes) -> None:
        self.close_connection = step not in (Step.ANSWER, Step.ANSWER_LATE)
        if step in (Step.ANSWER, Step.ANSWER_LATE, Step.ANSWER_AND_CLOSE):
            inputs = json.loads(body)["inputs"]["image_bytes"]
            values = [base64.b64decode(value["b64"]) for value in inputs]
            self._send(200, {"outputs": self.script.answer(values)})
        elif step is Step.DROP:
            pass
        elif step is Step.CUT:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        elif step is Step.DRIP:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not self.script.released.wait(0.02):
                self.wfile.write(b" ")
        elif step is Step.HANG:
            self.script.released.wait(60)
        elif step is Step.PAGE_OF_A_PROXY:
            page = b"<html>no upstream</html>"
            self.wfile.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s"
                % (len(page), page)
            )
        else:
            wait = {"Retry-After": "1"} if step is Step.SAY_TOO_MANY_FOR_A_SECOND else {}
            self._send(_STATUSES[step][0], {"error": step.name}, **wait)

    def _send(self, status: int, document: Any, **headers: str) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class ScriptedGrpc:
    """Speaks gRPC: Predict only."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.script = script
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self._predict,
            request_deserializer=predict_pb2.PredictRequest.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        service = "tensorflow.serving.PredictionService"
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Predict": handler}),)
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.url = f"grpc://127.0.0.1:{self.port}/m"
        self._server.start()

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self.script as step:
            if step in (Step.HANG, Step.DRIP):
                self.script.released.wait(60)
            if step in _STATUSES:
                context.abort(_STATUSES[step][1], step.name)
        response = predict_pb2.PredictResponse()
        for name, value in self.script.answer(request.inputs["image_bytes"].string_val).items():
            proto = array_to_proto(np.array(value), as_content=self.script.as_content)
            response.outputs[name].CopyFrom(proto)
        return response

    def stop(self) -> None:
        self.script.released.set()
        self._server.stop(None).wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
