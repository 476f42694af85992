"""Both clients over both transports, asking a real server."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving import AsyncClient, Client
from serving.client_pictures import encode_picture
from serving.errors import (
    ClientError,
    Closed,
    Code,
    InvalidArgument,
    Refused,
    TimedOut,
    Unreachable,
)

from .scripted_servers import Script, ScriptedGrpc, ScriptedRest, Step


class Awaited:
    """An `AsyncClient` on a loop, to be called as a `Client` is: one battery for both."""

    def __init__(self, *words: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*words, **options)
        self._runner.run(self._client.__aenter__())

    def predict_each(self, *words: Any, **options: Any) -> Iterator[Any]:
        answers = self._client.predict_each(*words, **options)
        while True:
            try:
                yield self._runner.run(anext(answers))  # type: ignore[arg-type]
            except StopAsyncIteration:
                return

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *words, **options: self._runner.run(method(*words, **options))

    def __enter__(self) -> "Awaited":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=["REST", "gRPC", "REST-async", "gRPC-async"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Any]:
    transport, _, kind = request.param.partition("-")
    address = server.rest if transport == "REST" else f"grpc://{server.addresses['gRPC']}"
    with (Awaited if kind else Client)(f"{address}/flowers", timeout_s=60) as client:
        yield client


def test_pictures_in_labels_and_scores_out(client: Any) -> None:
    answer = client.predict_bytes([b"\xff\xd8\0", b"a"])

    assert answer["labels"].tolist() == [["lynx", "puma"], ["lynx", "puma"]]
    assert answer["scores"].dtype == np.float32
    assert answer["scores"].shape == (2, 2)
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, rtol=1e-6)


def test_status_and_metadata(client: Any) -> None:
    assert client.status() == {1: "AVAILABLE"}
    signatures = client.metadata()["metadata"]["signature_def"]["signature_def"]
    assert set(signatures["serving_default"]["outputs"]) == {"labels", "scores"}


def test_only_output_of_another_signature_has_its_name(server: Any) -> None:
    for address in (server.rest, f"grpc://{server.addresses['gRPC']}"):
        with Client(address, "numbers", timeout_s=60) as client:
            answer = client.predict_bytes([b"hi"], signature_name="echo", input_name="text")
        assert {name: array.tolist() for name, array in answer.items()} == {"text": ["hi"]}


def test_only_output_of_many_requests_has_its_name(server: Any) -> None:
    for address in (server.rest, f"grpc://{server.addresses['gRPC']}"):
        with Client(address, "numbers", timeout_s=60) as client:
            answer = client.predict([b"a", b"bb", b"c"], "echo", "text", batch_size=2)
            rows = list(client.predict_each([b"a", b"bb"], "echo", "text", batch_size=1))
        assert answer["text"].tolist() == ["a", "bb", "c"]
        assert [row["text"] for row in rows] == ["a", "bb"]


def test_answer_may_be_raw_bytes_of_tensors() -> None:
    with (
        ScriptedGrpc(Script(Step.ANSWER, as_content=True)) as server,
        Client(server.url) as client,
    ):
        assert client.predict([b"a", b"bb"])["size"].tolist() == [1, 2]


def test_server_that_lists_no_models_is_to_be_told_which() -> None:
    with (
        ScriptedRest(Script(Step.SAY_INVALID)) as server,
        pytest.raises(InvalidArgument, match="which model of .* Add /MODEL to the address$"),
    ):
        Client(server.url.removesuffix("/m"))


@pytest.mark.slow
def test_real_server_that_is_started_again_is_found(
    start_server: Callable[..., Any], models: Path
) -> None:
    words = [str(models / "flowers"), "--port=0", "--rest_api_port=0"]
    server = start_server(*words)
    server.wait_for_addresses()
    grpc_address = server.addresses["gRPC"]
    clients = [Client(f"{server.rest}/flowers", retries=0),
               Client(f"grpc://{grpc_address}/flowers", retries=0)]  # fmt: skip
    for client in clients:
        client.predict(SOME, batch_size=1)
    server.end()
    for client in clients:
        with pytest.raises(Unreachable):
            client.predict(SOME)
    ports = {"rest_api_port": server.rest, "port": grpc_address}
    again = [f"--{flag}={address.rpartition(':')[2]}" for flag, address in ports.items()]
    start_server(words[0], *again).wait_for_addresses()
    for client in clients:
        assert client.predict(SOME, batch_size=1)["labels"].shape == (10, 2)
        client.close()


def test_error_of_the_server_is_raised_with_its_code(server: Any, client: Any) -> None:
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


def test_no_values_are_refused_before_anything_is_sent(client: Any) -> None:
    with pytest.raises(InvalidArgument, match="at least one"):
        client.predict_bytes([])


def test_model_must_be_named_where_there_are_several(server: Any) -> None:
    with pytest.raises(InvalidArgument, match="which model .* it has .*flowers"):
        Client(server.rest)
    with pytest.raises(InvalidArgument, match="which model"):
        Client(f"grpc://{server.addresses['gRPC']}")


# A picture of the model here is its number of bytes, which its scores tell.
SOME = [b"a" * size for size in (1, 9, 2, 8, 3, 7, 4, 6, 5, 1)]


def test_many_pictures_are_answered_in_their_order(client: Any) -> None:
    expected = client.predict_bytes(SOME)["scores"]
    assert len(np.unique(expected[:, 0])) == 9

    for batch_size, concurrency in ((1, 1), (3, 4), (100, 2)):
        options = {"batch_size": batch_size, "concurrency": concurrency}
        answer = client.predict(iter(SOME), **options)
        rows = list(client.predict_each((one for one in SOME), **options))

        np.testing.assert_array_equal(answer["scores"], expected)
        assert answer["labels"].shape == (10, 2)
        np.testing.assert_array_equal([row["scores"] for row in rows], expected)
        assert rows[0]["labels"].tolist() == ["lynx", "puma"]


def test_picture_may_be_a_path_or_bytes_or_an_array_or_an_image(
    client: Any, tmp_path: Path
) -> None:
    path = tmp_path / "kätzchen 猫.jpg"
    path.write_bytes(b"a picture")
    array = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    image = Image.fromarray(array)
    pictures = [path, str(path), b"a picture", bytearray(b"a picture"), array, image]

    png = encode_picture(array)
    expected = client.predict_bytes([b"a picture"] * 4 + [png] * 2)["scores"]
    np.testing.assert_array_equal(client.predict(pictures)["scores"], expected)
    for picture, scores in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(client.predict(picture)["scores"], [scores])
        (row,) = client.predict_each(picture)
        np.testing.assert_array_equal(row["scores"], scores)


def test_no_pictures_are_refused_where_an_answer_must_be_given(client: Any) -> None:
    with pytest.raises(InvalidArgument, match="no pictures"):
        client.predict([])
    assert list(client.predict_each([])) == []


def test_picture_that_cannot_be_read_is_named(client: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InvalidArgument, match="empty.jpg'\\): the file is empty") as caught:
        client.predict([b"a", b"b", tmp_path / "empty.jpg", b"c"])
    assert caught.value.pictures == range(2, 3)

    with pytest.raises(InvalidArgument, match="'gone.jpg'\\): cannot read .* No such file"):
        client.predict("gone.jpg")


def test_answers_before_a_picture_that_fails_are_given(client: Any) -> None:
    answers = client.predict_each([b"a", b"b", b"", b"c"], batch_size=1)

    assert {name: row.shape for name, row in next(answers).items()} == {
        "labels": (2,), "scores": (2,),
    }  # fmt: skip
    next(answers)
    with pytest.raises(InvalidArgument, match="picture 2: no bytes"):
        next(answers)


def test_error_of_the_server_names_the_pictures_of_its_request(client: Any) -> None:
    with pytest.raises(Refused, match="pictures 0 to 3: .*nothing") as caught:
        client.predict(SOME, "nothing", batch_size=4, concurrency=1)
    assert caught.value.pictures == range(4)


def test_output_without_a_row_for_each_picture_is_no_answer_to_each(server: Any) -> None:
    with ScriptedRest(Script(Step.ANSWER)) as scripted, Client(scripted.url) as client:
        client._session._predict = _one_number  # type: ignore[method-assign,assignment]
        with pytest.raises(ClientError, match="'total' of shape \\(\\) has no row"):
            list(client.predict_each([b"a"]))
        with pytest.raises(ClientError, match="do not fit together"):
            client.predict([b"a", b"b"], batch_size=1)


async def _one_number(*_: object) -> dict[str, Any]:
    return {"total": np.array(1.0)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"timeout_s": -1}, "timeout_s is -1"),
    ],
)
def test_wrong_numbers_are_refused_at_once(client: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        client.predict(SOME, **options)
    with pytest.raises(InvalidArgument, match=message):
        next(client.predict_each(SOME, **options))


@pytest.mark.parametrize("wrong", [None, 5, 1.5, object()])
def test_what_is_neither_a_picture_nor_several_is_refused(client: Any, wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match="is no picture: give a path"):
        client.predict(wrong)
    with pytest.raises(InvalidArgument, match="picture 1: .* is no picture"):
        client.predict([b"a", wrong])


def test_client_can_be_shared_by_threads(client: Any) -> None:
    if not isinstance(client, Client):
        pytest.skip("an AsyncClient belongs to one event loop")
    expected = client.predict_bytes(SOME)["scores"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.predict(SOME, batch_size=2), range(24)))
    for answer in answers:
        np.testing.assert_array_equal(answer["scores"], expected)


def test_closed_client_says_so(client: Any) -> None:
    client.close()
    client.close()

    for call in (client.status, lambda: client.predict(b"a"), lambda: client.predict_bytes([b"a"])):
        with pytest.raises(Closed, match="this client is closed"):
            call()


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


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>", "does not answer in JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "does not answer with model_version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "does not answer with model_version"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not answer in HTTP"),
    ],
)
def test_something_else_than_a_model_server(
    serve_once: Callable[[bytes], int], answer: bytes, message: str
) -> None:
    port = serve_once(answer)

    with (
        Client(f"http://127.0.0.1:{port}/m", timeout_s=5) as client,
        pytest.raises(Unreachable, match=message),
    ):
        client.status()


def test_only_model_of_a_server_is_found(serve_once: Callable[[bytes], int]) -> None:
    body = b'{"models": [{"name": "flowers"}]}'
    port = serve_once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with Client(f"http://127.0.0.1:{port}", timeout_s=5) as client:
        assert client.model == "flowers"
