"""Small requests that once ended the server, stopped it, or were misread."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.errors import InvalidArgument, ModelError
from serving.json_document import parse_document
from serving.json_process import JsonProcess
from serving.tensor_proto import array_to_proto, arrays_from_protos


def build_network(path: Path) -> None:
    """Write a model of one convolution over pictures."""

    class Network(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(tf.ones([3, 3, 3, 4]))

        @tf.function(input_signature=[tf.TensorSpec([None] * 3 + [3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": tf.reduce_mean(tf.nn.conv2d(x, self.kernel, 1, "SAME"), [1, 2])}

    model = Network()
    tf.saved_model.save(model, str(path), {"serving_default": model.serve})


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Any]) -> Any:
    folder = tmp_path_factory.mktemp("network")
    build_network(folder / "network" / "1")
    server = start_server(
        str(folder), "--port=0", "--rest_api_port=0", f"--access_log={folder / 'access.log'}"
    )
    server.wait_for_addresses()
    server.access_log = folder / "access.log"
    return server


@pytest.mark.parametrize("inputs", ["1", "[]", "1e400", "[[1]]", "[[[[]]]]", "[[[[1]]]]", "[[]]"])
def test_tensors_of_other_ranks_do_not_end_the_process(network: Any, inputs: str) -> None:
    status, answer = network.call("/v1/models/network:predict", f'{{"inputs": {inputs}}}'.encode())

    assert (status, list(answer)) == (400, ["error"])
    good = {"instances": np.ones((2, 5, 4, 3)).tolist()}
    assert network.call("/v1/models/network:predict", good)[0] == 200


def test_call_without_a_deadline_is_answered(server: Any) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "numbers"
    request.inputs["x"].CopyFrom(array_to_proto(np.ones(1, "float32")))
    with server.channel as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        assert call(request.SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances":[Inf],"x":"' + b'\\"' * 1_000_000,
        b'{"instances":[Inf],"x":"' + b"\\" * 2_000_001,
        b'{"instances":[Inf]' + b'"' * 1_000_001,
        b'{"instances":[1 2],"x":"' + b"a" * 4_000_000,
    ],
)
def test_time_to_read_json_grows_with_its_size_and_no_faster(body: bytes) -> None:
    began_s = time.monotonic()

    with pytest.raises(InvalidArgument, match="JSON Parse error"):
        parse_document(body)

    assert time.monotonic() - began_s < 5  # it were hours


def test_numbers_of_thousands_of_digits_are_refused(server: Any) -> None:
    for count in (1, 200_000):
        body = b'{"instances": [' + b"1," * count + b"1" * 5000 + b"]}"
        status, answer = server.call("/v1/models/numbers:predict", body)
        assert (status, answer["error"][:33]) == (400, "JSON Parse error: Number too big ")


def test_fault_in_the_process_of_json_does_not_end_it() -> None:
    process = JsonProcess()
    try:
        with pytest.raises(ModelError, match="internal error: TypeError"):
            process.do(parse_document, 1)
        child = process._process
        assert process.do(parse_document, b'{"a": 1}') == {"a": 1}
        assert process._process is child
    finally:
        process.close()


@pytest.mark.parametrize(
    "tail", [b"A: b\r\n" * 800_000, b"A: " + b"b" * 4_000_000], ids=["many", "long"]
)
def test_what_follows_a_body_in_chunks_is_bounded(network: Any, tail: bytes) -> None:
    host, port = network.rest.removeprefix("http://").split(":")
    head = (
        b"POST /v1/models/network:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(head + b"2\r\n{}\r\n0\r\n" + tail)
            while part := connection.recv(65536):
                answer += part
    assert answer[:12] in (b"HTTP/1.1 431", b"")
    assert network.call("/readyz")[0] == 200


def test_body_in_chunks_of_a_byte_is_read(network: Any) -> None:
    body = json.dumps({"instances": np.ones((1, 5, 4, 3)).tolist()}).encode()
    connection = http.client.HTTPConnection(network.rest.removeprefix("http://"), timeout=60)
    chunks = (bytes([byte]) for byte in body)
    connection.request("POST", "/v1/models/network:predict", chunks, encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    assert connection.getresponse().status == 200
    connection.close()


def test_client_that_goes_away_in_its_body_is_a_line_and_no_fault(network: Any) -> None:
    host, port = network.rest.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/models/network:predict HTTP/1.1\r\nHost: x\r\nX-Request-Id: gone\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        time.sleep(0.2)
    end_s = time.monotonic() + 10
    while '"gone"' not in network.access_log.read_text():
        assert time.monotonic() < end_s
        time.sleep(0.05)
    line = network.access_log.read_text().splitlines()[-1]
    assert json.loads(line)["status"] == 499
    assert "Traceback" not in network.log.read_text()


def test_large_tensor_with_a_field_that_nobody_knows_is_read_right() -> None:
    array = np.arange(20_000, dtype="float32")
    data = array_to_proto(array).SerializeToString() + b"\xfd\x3e\1\2\3\4"  # field 1007, 4 bytes

    proto = type(array_to_proto(array)).FromString(data)

    assert arrays_from_protos({"x": proto})["x"].tolist() == array.tolist()


def test_large_tensor_of_values_that_its_type_has_not_is_refused() -> None:
    proto = array_to_proto(np.ones(20_000, "uint8"))
    proto.int_val[7] = 300

    with pytest.raises(InvalidArgument, match="tensor parsing error: x"):
        arrays_from_protos({"x": proto})
