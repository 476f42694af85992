import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from serving.client import Client
from serving.errors import Code, InvalidArgument, Refused, TimedOut, Unreachable


@pytest.fixture(params=["REST", "gRPC"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Client]:
    address = server.rest if request.param == "REST" else f"grpc://{server.addresses['gRPC']}"
    with Client(f"{address}/flowers", timeout_s=60) as client:
        yield client


def test_pictures_in_labels_and_scores_out(client: Client) -> None:
    answer = client.predict_bytes([b"\xff\xd8\0", b"a"])

    assert answer["labels"].tolist() == [["lynx", "puma"], ["lynx", "puma"]]
    assert answer["scores"].dtype == np.float32
    assert answer["scores"].shape == (2, 2)
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, rtol=1e-6)


def test_status_and_metadata(client: Client) -> None:
    assert client.status() == {1: "AVAILABLE"}
    signatures = client.metadata()["metadata"]["signature_def"]["signature_def"]
    assert set(signatures["serving_default"]["outputs"]) == {"labels", "scores"}


def test_only_output_of_another_signature_has_its_name(server: Any) -> None:
    for address in (server.rest, f"grpc://{server.addresses['gRPC']}"):
        with Client(address, "numbers", timeout_s=60) as client:
            answer = client.predict_bytes([b"hi"], signature_name="echo", input_name="text")
        assert {name: array.tolist() for name, array in answer.items()} == {"text": ["hi"]}


def test_error_of_the_server_is_raised_with_its_code(server: Any, client: Client) -> None:
    with pytest.raises(Refused, match="nothing") as caught:
        client.predict_bytes([b"a"], signature_name="nothing")
    assert caught.value.code in (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION)

    with (
        Client(f"{server.rest}/v1/models/none") as stranger,
        pytest.raises(Refused, match="404") as caught,
    ):
        stranger.status()
    assert caught.value.code is Code.NOT_FOUND


def test_whole_address_of_a_prediction_is_taken_as_its_model(server: Any) -> None:
    with Client(f"{server.rest}/v1/models/flowers:predict") as client:
        assert client.model == "flowers"
        assert client.status()


def test_no_values_are_refused_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(InvalidArgument, match="at least one"):
        client.predict_bytes([])


def test_model_must_be_named_where_there_are_several(server: Any) -> None:
    with pytest.raises(InvalidArgument, match="which model .* it has .*flowers"):
        Client(server.rest)
    with pytest.raises(InvalidArgument, match="which model"):
        Client(f"grpc://{server.addresses['gRPC']}")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8501", "is no address of a server"),
        ("ftp://localhost", "is no address of a server"),
        ("http://[::1", "no valid port or host"),
        ("http://me:secret@localhost/a", "leave out user"),
        ("http://localhost/a?b=1", "leave out user, query"),
        ("http://localhost:port", "no valid port"),
        ("http://localhost/a/b", "is no model"),
    ],
)
def test_wrong_address_is_refused_with_what_to_write(url: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Client(url)


def test_two_different_models_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="two models, 'b' as an argument and 'a'"):
        Client("http://localhost/a", "b")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_nobody_at_the_address(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        port = taken.getsockname()[1]
        with (
            Client(f"{scheme}://127.0.0.1:{port}/m", timeout_s=5) as client,
            pytest.raises(Unreachable, match="Is the server running"),
        ):
            client.predict_bytes([b"a"])


@pytest.fixture
def serve_once() -> Iterator[Callable[[bytes], int]]:
    """A server that reads one request and answers with given bytes, or never."""
    listener = socket.create_server(("127.0.0.1", 0))
    release = threading.Event()
    threads = []

    def start(answer: bytes) -> int:
        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                if answer:
                    connection.sendall(answer)
                else:
                    release.wait(30)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    release.set()
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_server_that_does_not_answer(scheme: str, serve_once: Callable[[bytes], int]) -> None:
    port = serve_once(b"")

    with (
        Client(f"{scheme}://127.0.0.1:{port}/m", timeout_s=0.2) as client,
        pytest.raises(TimedOut, match="did not answer within 0.2 s"),
    ):
        client.status()


def test_something_else_than_a_model_server(serve_once: Callable[[bytes], int]) -> None:
    port = serve_once(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>")

    with (
        Client(f"http://127.0.0.1:{port}/m", timeout_s=5) as client,
        pytest.raises(Unreachable, match="does not answer in JSON"),
    ):
        client.status()


def test_only_model_of_a_server_is_found(serve_once: Callable[[bytes], int]) -> None:
    body = b'{"models": [{"name": "flowers"}]}'
    port = serve_once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with Client(f"http://127.0.0.1:{port}", timeout_s=5) as client:
        assert client.model == "flowers"
