"""Clients that are slow, silent, greedy or gone are given up in time, and others hardly notice."""

import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving.connections import most_connections

from .under_load import Load, asked_without_pause, wait_for

PATH = "/v1/models/flowers:predict"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
MOST_BODY, PATIENCE_S = 10_000_000, 1
# How much later than without them others may be answered while clients misbehave, on machines
# whose cores others use too.
MOST_SLOWER, SLACK_S = 10, 0.25
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def patient(
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    folder = tmp_path_factory.mktemp("patient")
    put_version("cats", folder / "flowers" / "1")
    put_version("numbers", folder / "numbers" / "1")
    server = start_server(
        str(folder), "--port=0", "--rest_api_port=0", f"--rest_api_max_body_bytes={MOST_BODY}",
        f"--rest_api_read_timeout_seconds={PATIENCE_S}", "--rest_api_max_connections=150",
        "--grpc_channel_arguments=grpc.server_handshake_timeout_ms=1000,"
        "grpc.keepalive_time_ms=1000,grpc.http2.ping_timeout_ms=1000",
    )  # fmt: skip
    server.wait_for_addresses()
    return server


def connect(server: Any, which: str = "REST", receive_bytes: int | None = None) -> socket.socket:
    host, port = server.addresses[which].removeprefix("http://").split(":")
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(20)
    connection.connect((host, int(port)))
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    return data


def read_until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def open_files(server: Any) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


@contextmanager
def hardly_noticed(server: Any) -> Iterator[Load]:
    """Measure clients before and while the block runs."""
    with asked_without_pause(server, "flowers", clients=2) as load:
        load.wait_for_more(300)
        before = sorted(load.took_s)
        yield load
        load.wait_for_more(100)
    during = sorted(load.took_s[len(before) :])
    figures = [(statistics.median(took), took[int(0.99 * len(took))]) for took in (before, during)]
    words = ", ".join(f"median {1000 * a:.1f} ms, p99 {1000 * b:.1f} ms" for a, b in figures)
    print(f"before and during ({len(during)}): {words}")  # noqa: T201
    assert load.errors == []
    for quiet, busy in zip(*figures, strict=True):
        assert busy < MOST_SLOWER * quiet + SLACK_S


@pytest.mark.parametrize(
    ("begin", "status"),
    [(b"", b""), (b"POST /v1/mod", b" 408 "), (HEAD + b"X: ", b" 408 "),
     (HEAD + b"Content-Length: 9\r\n\r\n{", b" 504 ")],
    ids=["nothing", "half_a_line", "half_a_head", "half_a_body"],
)  # fmt: skip
def test_request_that_does_not_go_on_is_given_up(begin: bytes, status: bytes, patient: Any) -> None:
    with connect(patient) as connection:
        began = time.monotonic()
        connection.sendall(begin)
        answer = read_to_end(connection)

    assert PATIENCE_S - 0.1 < time.monotonic() - began < PATIENCE_S + 5
    assert (status in answer) if status else answer == b""


def test_connection_of_http_1_0_is_kept_where_it_is_asked_for(patient: Any) -> None:
    ask = b"GET /v1/models/flowers HTTP/1.0\r\n"
    with connect(patient) as connection:
        for _ in range(3):
            connection.sendall(ask + b"Connection: keep-alive\r\n\r\n")
            answer = read_until(connection, b"]}").lower()
            assert answer.startswith(b"http/1.1 200 ok")
            assert b"\r\nconnection: keep-alive\r\n" in answer
            assert b"content-length: " in answer
        connection.sendall(ask + b"\r\n")
        answer = read_to_end(connection).lower()
    assert answer.startswith(b"http/1.1 200 ok")
    assert b"connection: close" in answer


@pytest.mark.parametrize("pause_s", [0, 0.05], ids=["at once", "in pieces"])
@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/models/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 60_000 + b"\r\n",
    ],
    ids=["path", "header", "headers"],
)
def test_head_that_is_too_long_is_told_so(head: bytes, pause_s: float, patient: Any) -> None:
    with connect(patient) as connection:
        with suppress(ConnectionError):
            for start in range(0, len(head), 60_000):
                connection.sendall(head[start : start + 60_000])
                time.sleep(pause_s)
        assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")
    assert patient.call("/healthz")[0] == 200


def test_head_of_nearly_the_limit_is_read_on_a_kept_connection(patient: Any) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 60_000 + b"\r\n\r\n"
    with connect(patient) as connection:
        for _ in range(3):
            connection.sendall(head)
            assert b"200 OK" in read_until(connection, b"ok\n")


def test_kept_connection_on_which_half_a_request_comes_is_given_up(patient: Any) -> None:
    with connect(patient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"GET /healthz HT")
        assert b" 408 " in read_to_end(connection)


def test_hundred_clients_that_send_a_byte_at_a_time_are_given_up(patient: Any) -> None:
    files = open_files(patient)
    with ExitStack() as stack, hardly_noticed(patient):
        slow = [stack.enter_context(connect(patient)) for _ in range(100)]
        for number, one in enumerate(slow):  # in the head, and in the body
            one.sendall(HEAD + (b"Content-Length: 5000\r\n\r\n" if number % 2 else b""))
        answered: set[int] = set()
        end_s = time.monotonic() + PATIENCE_S + 5
        while len(answered) < 100 and time.monotonic() < end_s:
            for number, one in enumerate(slow):
                try:
                    one.send(b"X")
                except OSError:
                    answered.add(number)
            time.sleep(0.25)
        assert len(answered) == 100
    wait_for(lambda: open_files(patient) <= files + 2, 10)


def test_body_of_a_gigabyte_in_chunks_is_cut_off_early(patient: Any) -> None:
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with hardly_noticed(patient), connect(patient) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with suppress(OSError):
            while sent < 1000:
                connection.sendall(chunk)
                sent += 1
        answer = read_to_end(connection)

    assert sent < 30  # MiB, what lies in the sockets' buffers included
    assert b" 413 " in answer


def test_flood_of_bad_heads_is_refused_and_is_one_line_in_the_log(patient: Any) -> None:
    floods = [
        HEAD + b"X: " + b"y" * 100_000,
        HEAD + b"X: y\r\n" * 20_000,
        b"\x16\x03\x01garbage\n\n",
    ]
    statuses = []
    size = len(patient.log.read_text())
    with hardly_noticed(patient):
        for flood in 20 * floods:
            with connect(patient) as connection:
                with suppress(ConnectionError):  # it does not read them all
                    connection.sendall(flood)
                statuses.append(read_to_end(connection)[:12])

    # Some connections are reset before the client has read the answer.
    assert set(statuses) <= {b"HTTP/1.1 400", b"HTTP/1.1 431", b""}
    assert statuses.count(b"HTTP/1.1 400") == 20
    assert statuses.count(b"HTTP/1.1 431") > 20
    assert len(patient.log.read_text()) - size < 1000


@pytest.mark.slow
def test_client_that_does_not_take_its_answer_is_given_up(patient: Any) -> None:
    large = {"signature_name": "ones", "inputs": {"n": [200_000]}}
    patient.call("/v1/models/numbers:predict", large)  # starts the process that writes large JSON
    files = open_files(patient)
    body = b'{"signature_name": "ones", "inputs": {"n": [2000000]}}'
    path = HEAD.replace(b"flowers", b"numbers")
    with hardly_noticed(patient), ExitStack() as stack:
        for _ in range(5):
            greedy = stack.enter_context(connect(patient, receive_bytes=4096))
            greedy.sendall(path + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: open_files(patient) > files + 5, 10)
        # Kept for 5 s like every connection, then for as long as something of it is taken.
        wait_for(lambda: open_files(patient) <= files + 2, 5 + 3 * PATIENCE_S + 10)


def test_connections_beyond_the_limit_do_not_push_out_those_there_are(patient: Any) -> None:
    with hardly_noticed(patient), ExitStack() as stack:
        waiting = [stack.enter_context(connect(patient)) for _ in range(250)]
        # On a busy machine some may come only when others have been given up.
        assert sum(b" 503 " in read_to_end(one) for one in waiting[190:]) > 30
        # Some are let say what they want, as a client reads no answer that comes before that.
        waiting[170].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 503 " in read_to_end(waiting[170])
    assert most_connections(1000, None) == most_connections(1000, 2000) == 1000
    assert most_connections(1000, 256) == 160


def test_two_hundred_idle_channels_are_nothing_to_others(patient: Any) -> None:
    address = patient.addresses["gRPC"]
    with hardly_noticed(patient), ExitStack() as stack:
        for number in range(200):
            one = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
            channel = stack.enter_context(grpc.insecure_channel(address, options=one))
            grpc.channel_ready_future(channel).result(20)
        assert open_files(patient) > 200


@pytest.mark.parametrize(
    ("words", "most_s"),
    [(b"", 5), (PREFACE, 5), (PREFACE + b"\0\0", 5), (b"GET / HTTP/1.1\r\n\r\n", 1),
     (PREFACE + b"\0\0\0\4\0\0\0\0\0" + b"\xff" * 50, 1)],
    ids=["nothing", "preface", "half_a_frame", "http1", "garbage"],
)  # fmt: skip
def test_connection_that_does_not_speak_grpc_ends(
    words: bytes, most_s: float, patient: Any
) -> None:
    with connect(patient, "gRPC") as connection:
        began = time.monotonic()
        connection.sendall(words)
        read_to_end(connection)

    assert time.monotonic() - began < most_s


def test_client_that_vanished_is_found_out(patient: Any) -> None:
    """A stopped process takes pings, as the kernel does, and does not answer them."""
    code = (
        "import grpc, sys, time; channel = grpc.insecure_channel(sys.argv[1]);"
        "grpc.channel_ready_future(channel).result(60); print('ready', flush=True); time.sleep(600)"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, patient.addresses["gRPC"]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        files = open_files(patient)
        client.send_signal(signal.SIGSTOP)
        wait_for(lambda: open_files(patient) < files, 20)
    finally:
        client.kill()
        client.communicate()


def test_server_that_has_seen_all_this_ends_well(patient: Any) -> None:
    assert "unforeseen" not in patient.log.read_text()
    assert "Traceback" not in patient.log.read_text()
    assert threading.active_count() < 20
    assert patient.end() == 0
