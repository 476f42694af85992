"""What is too large or too slow is refused early, and nobody else waits for it."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PATH = "/v1/models/numbers:predict"
MOST = 100_000


@pytest.fixture(scope="module")
def strict(
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    folder = tmp_path_factory.mktemp("strict")
    put_version("numbers", folder / "numbers" / "1")
    server = start_server(
        str(folder), "--port=0", "--rest_api_port=0", f"--rest_api_max_body_bytes={MOST}",
        "--rest_api_read_timeout_seconds=1", "--rest_api_max_connections=20",
    )  # fmt: skip
    server.wait_for_addresses()
    return server


def connect(server: Any) -> socket.socket:
    host, port = server.rest.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def head(*lines: str) -> bytes:
    return "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read until the server ends the connection."""
    data = b""
    while part := connection.recv(65536):
        data += part
    return int(data.split(b" ", 2)[1]), data


def still_answers(server: Any) -> bool:
    began = time.monotonic()
    found = server.call(PATH, {"instances": [2.0]})
    return bool(found == (200, {"predictions": [3.0]})) and time.monotonic() - began < 5


def test_body_of_a_gigabyte_is_refused_before_it_is_sent(strict: Any) -> None:
    with connect(strict) as connection:
        connection.sendall(head("Content-Length: 1000000000"))
        status, data = answer(connection)

    assert status == 413
    assert b"1,000,000,000 bytes or more: this server takes 100,000" in data
    assert b"connection: close" in data.lower()
    assert still_answers(strict)


def test_body_that_does_not_say_its_size_is_cut_off(strict: Any) -> None:
    chunk = b"2710\r\n" + b" " * 10_000 + b"\r\n"
    with connect(strict) as connection:
        connection.sendall(head("Transfer-Encoding: chunked") + 11 * chunk)
        status, data = answer(connection)

    assert (status, b"--rest_api_max_body_bytes" in data) == (413, True)


def test_body_that_unpacks_to_too_much_is_refused(strict: Any) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < MOST

    status, found = strict.call(PATH, bomb, **{"Content-Encoding": "gzip"})

    assert (status, "a body that is unpacked" in found["error"]) == (413, True)
    fits = gzip.compress(json.dumps({"instances": [2.0]}).encode())
    assert strict.call(PATH, fits, **{"Content-Encoding": "gzip"})[0] == 200
    for broken in (fits[:-9], fits + b"x"):
        assert strict.call(PATH, broken, **{"Content-Encoding": "gzip"})[0] == 400
    empty = gzip.compress(b"")
    many = empty * (MOST // len(empty) - 1)
    assert strict.call(PATH, many, **{"Content-Encoding": "gzip"})[0] == 400
    two = gzip.compress(b'{"instances": ') + gzip.compress(b"[2.0]}")
    assert strict.call(PATH, two, **{"Content-Encoding": "gzip"})[0] == 200


def test_client_that_sends_a_byte_now_and_then_is_given_up(strict: Any) -> None:
    with connect(strict) as connection:
        connection.sendall(head("Content-Length: 50") + b"{")
        began = time.monotonic()
        status, data = answer(connection)

    assert (status, b"did not come in within 1 s: 1 bytes did" in data) == (504, True)
    assert 0.9 < time.monotonic() - began < 5
    assert still_answers(strict)


@pytest.mark.parametrize("line", ["X-Long: " + "a" * 200_000, *["\r\n".join(["X: y"] * 30_000)]])
def test_flood_of_headers_is_refused(strict: Any, line: str) -> None:
    with connect(strict) as connection:
        try:
            connection.sendall(head(line, "Content-Length: 0"))
            status, _ = answer(connection)
        except (ConnectionResetError, BrokenPipeError):  # it did not read them all
            status = 400
    assert status in (400, 431)
    assert still_answers(strict)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"instances":[['])
def test_depth_of_json_is_bounded(strict: Any, opening: bytes) -> None:
    status, found = strict.call(PATH, opening * (MOST // len(opening) - 10))

    assert status == 400
    assert "JSON Parse error" in found["error"]


def test_connections_beyond_the_limit_are_refused_and_come_back(strict: Any) -> None:
    waiting = [connect(strict) for _ in range(40)]
    try:
        time.sleep(0.3)
        with connect(strict) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert answer(connection)[0] == 503
    finally:
        for one in waiting:
            one.close()
    end = time.monotonic() + 5
    while strict.call("/healthz")[0] != 200:
        assert time.monotonic() < end
    assert still_answers(strict)


def test_tensor_that_claims_to_be_huge_is_refused(strict: Any) -> None:
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "numbers"
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.float_val.append(1.0)
    with strict.channel as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        for sizes in ([10**7], [10**9], [10**12], [10**9, 10**9, 10**9], [2**62, 4]):
            del tensor.tensor_shape.dim[:]
            for size in sizes:
                tensor.tensor_shape.dim.add(size=size)
            with pytest.raises(grpc.RpcError) as caught:
                predict(request, timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "one value is repeated up to" in str(caught.value.details())
    assert still_answers(strict)
