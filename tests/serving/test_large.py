"""Large tensors: other requests go on meanwhile, and the answers are those of small ones."""

import base64
import itertools
import json
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.json_size import is_large_body
from serving.tensor_proto import array_to_proto, arrays_from_protos

from .conftest import START_TIMEOUT_S
from .example_models import build_examples

MANY = 2_000_000
LARGE_JSON = b'{"instances": [' + b",".join([b"1.5"] * (3 * MANY)) + b"]}"


def delays_while(server: Any, work: Callable[[], None]) -> tuple[list[float], int]:
    """Return seconds that small requests take while some work is done over and over."""
    done, times = threading.Event(), itertools.count()

    def go_on() -> None:
        while not done.is_set():
            work()
            next(times)

    other = threading.Thread(target=go_on)
    other.start()
    delays, end_s = [], time.monotonic() + 3
    while time.monotonic() < end_s or next(times) < 2:
        began_s = time.monotonic()
        status, _ = server.call("/v1/models/numbers:predict", {"instances": [1]})
        delays.append(time.monotonic() - began_s)
        assert status == 200
    done.set()
    other.join()
    return delays, next(times)


def as_json(value: bytes, signature: bytes = b"echo") -> bytes:
    return b'{"signature_name": "%s", "instances": [%s]}' % (signature, value)


def examples(signature: bytes, example: bytes, count: int) -> bytes:
    text = b",".join([example] * count)
    return b'{"signature_name": "%s", "examples": [%s]}' % (signature, text)


def picture(size: int) -> bytes:
    return b'{"b64": "%s"}' % base64.b64encode(random.Random(0).randbytes(size * 3 // 4))


MB = 10**6
# Where they go, and what they are made of. Read in one step, those of strings and lists hold up
# others for 0.2 s and more; those of examples, read by a loop, make all of them five times as slow.
LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "numbers of a feature": ("examples:regress", lambda: examples(
        b"regress", b'{"x": 0.25, "y": [%s]}' % b",".join([b"0.5"] * 5 * MB), 1)),
    "strings of a feature": ("examples:regress", lambda: examples(
        b"regress", b'{"x": 0.25, "y": [%s]}' % b",".join([b'"abc"'] * 2 * MB), 1)),
    "examples": ("examples:classify", lambda: examples(b"classify", b'{"x": 0.25}', 300_000)),
    "spaces": ("numbers:predict", lambda: as_json(b" " * 240 * MB + b'"a"')),
    "escapes": ("numbers:predict", lambda: as_json(b'"%s"' % (b"\\u00e9" * 30 * MB))),
    "escapes and more behind": ("numbers:predict", lambda: as_json(
        b'"%s"]} and more' % (b"\\u00e9" * 4 * MB))),
    "bytes that are no UTF-8": ("numbers:predict", lambda: as_json(
        b'"%s"' % (b"\xff" * 30 * MB))),
    "a picture": ("flowers:predict", lambda: b'{"instances": [%s]}' % picture(120 * MB)),
    "lists in lists": ("numbers:predict", lambda: as_json(
        b'"a"], "x": [%s' % b",".join([b"[" * 1000 + b"]" * 1000] * 5000))),
}  # fmt: skip


@pytest.fixture(scope="module")
def with_examples(server: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The shared server, with a model of examples."""
    aside = tmp_path_factory.mktemp("aside") / "examples"
    build_examples(aside / "1")
    aside.rename(models / "examples")
    end_s = time.monotonic() + START_TIMEOUT_S
    while server.call("/v1/models/examples")[0] != 200 or server.call("/readyz")[0] != 200:
        assert time.monotonic() < end_s
        time.sleep(0.1)
    return server


@pytest.mark.parametrize("kind", LARGE)
def test_small_requests_go_on_beside_large_json_of_every_kind(
    with_examples: Any, kind: str
) -> None:
    path, make = LARGE[kind]
    body = make()

    delays, count = delays_while(with_examples, lambda: post(with_examples, body, path))

    assert statistics.median(delays) < 0.05
    assert sorted(delays)[-3] < 0.2, f"{count} large, {len(delays)} small"


def large_message(type_name: str) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "numbers"
    array = np.full(MANY, 1, type_name)
    if type_name == "int32":
        request.model_spec.signature_name = "two"
        request.inputs["a"].CopyFrom(array_to_proto(np.ones(1, "float32")))
        request.inputs["b"].CopyFrom(array_to_proto(array))
        request.output_filter.append("wide")
    else:
        request.inputs["x"].CopyFrom(array_to_proto(array))
    return bytes(request.SerializeToString())


@pytest.mark.parametrize("kind", ["JSON", "float32", "int32"])
def test_small_requests_go_on_beside_large_ones(server: Any, kind: str) -> None:
    options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    channel: Any = grpc.insecure_channel(server.addresses["gRPC"], options)
    with channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        message = b"" if kind == "JSON" else large_message(kind)

        def send() -> None:
            # The client's own work on a large answer would hold up the small requests too.
            if kind == "JSON":
                post(server, LARGE_JSON)
            else:
                predict(message, timeout=60)

        delays, count = delays_while(server, send)

    # Read in one step, the numbers of the JSON hold up everything for 600 ms.
    assert statistics.median(delays) < 0.05
    assert sorted(delays)[-3] < 0.2, f"{count} large, {len(delays)} small"


def post(server: Any, body: bytes, path: str = "numbers:predict") -> None:
    import http.client

    connection = http.client.HTTPConnection(server.rest.removeprefix("http://"), timeout=60)
    connection.request("POST", f"/v1/models/{path}", body)
    response = connection.getresponse()
    assert response.status == 200
    while response.read(2**20):
        pass
    connection.close()


def test_large_json_is_answered_like_small(server: Any) -> None:
    values = np.arange(300_000) / 4
    body = json.dumps({"instances": values.tolist()}).encode()
    assert is_large_body(body)

    status, answer = server.call("/v1/models/numbers:predict", body)

    assert status == 200
    assert answer["predictions"] == (values / 2 + 2).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-1], "JSON Parse error: Missing a comma or } after an object member."),
        (lambda text: text.replace(" 0.25,", ' "a",'), "Failed to process element: 1 of"),
        (lambda text: text.replace("}", ', "signature_name": "none"}'), 'name: "none" not found'),
    ],
)  # fmt: skip
def test_large_json_is_refused_like_small(
    server: Any, change: Callable[[str], str], message: str
) -> None:
    body = change(json.dumps({"instances": (np.arange(300_000) / 4).tolist()})).encode()
    assert is_large_body(body)

    status, answer = server.call("/v1/models/numbers:predict", body)

    assert status == 400
    assert message in answer["error"]


def test_process_of_json_ends_with_the_server(
    start_server: Callable[..., Any], saved_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "1").symlink_to(saved_models / "numbers")
    server = start_server(str(tmp_path), "--port=0", "--rest_api_port=0")
    server.wait_for_addresses()
    post(server, LARGE_JSON)
    children = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    (child,) = " ".join(one.read_text() for one in children).split()
    assert "json_process" in Path(f"/proc/{child}/cmdline").read_text()

    server.end(signal.SIGKILL)

    end_s = time.monotonic() + 10
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < end_s
        time.sleep(0.05)


@pytest.mark.parametrize(
    "name", ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint32",
             "uint64", "bool", "float16", "bfloat16", "complex64"]
)  # fmt: skip
def test_large_tensors_of_every_type_go_there_and_back(name: str) -> None:
    dtype = tf.as_dtype(name).as_numpy_dtype
    array = (np.arange(50_000).reshape(100, 500) % 120).astype(dtype)

    proto = array_to_proto(array)
    (back,) = arrays_from_protos({"x": proto}).values()

    assert not proto.tensor_content
    assert tf.make_ndarray(proto).tolist() == array.tolist()
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())


def test_one_value_fills_a_large_tensor() -> None:
    proto = array_to_proto(np.ones(1, "float32"))
    proto.tensor_shape.dim[0].size = 100_000

    (array,) = arrays_from_protos({"x": proto}).values()

    assert array.shape == (100_000,)
    assert (array == 1).all()
