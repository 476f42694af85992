"""The end of a server under load: told to, no request is lost; killed, the next start is clean."""

import http.client
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from .under_load import asked_without_pause

BIG = 3_000_000  # numbers in an answer, which has 12 MB then


@contextmanager
def reading_slowly(server: Any) -> Iterator[list[bool]]:
    """Read a big answer in some seconds; tells at the end whether it was whole."""
    host, port = server.rest.removeprefix("http://").split(":")
    body = json.dumps({"signature_name": "ones", "inputs": {"n": [BIG]}})
    whole: list[bool] = []
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)  # little is on its way
    connection.sock.connect((host, int(port)))
    connection.request("POST", "/v1/models/numbers:predict", body)
    answer = connection.getresponse()

    def read() -> None:
        data = b""
        while part := answer.read(200_000):
            data += part
            time.sleep(0.05)
        whole.append(len(json.loads(data)["outputs"]) == BIG)

    thread = threading.Thread(target=read)
    thread.start()
    yield whole
    thread.join()
    connection.close()


@pytest.fixture
def ports() -> dict[str, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return {"REST": one.getsockname()[1], "gRPC": two.getsockname()[1]}


@pytest.mark.slow
def test_server_that_is_told_to_end_answers_all_it_has_taken(
    start_server: Callable[..., Any], put_version: Callable[[str, Path], None], tmp_path: Path
) -> None:
    put_version("cats", tmp_path / "flowers" / "1")
    put_version("numbers", tmp_path / "numbers" / "1")
    server = start_server(
        str(tmp_path), "--port=0", "--rest_api_port=0", "--shutdown_grace_seconds=10"
    )
    server.wait_for_addresses()

    with (
        asked_without_pause(server, "flowers", clients=16) as load,
        reading_slowly(server) as sizes,
    ):
        load.wait_for_more(200)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(40) == 0
        took_s = time.monotonic() - began
    server.process.stdout.close()

    print(f"ended after {took_s:.1f} s, {load.answered} answered")  # noqa: T201
    # REST answers what it has taken, and is not there for the rest. gRPC itself cancels what comes
    # in the moment in which it is told to end: a call of each channel at most, and none that ran.
    odd = [one for one in load.errors if not re.search(r"onnection refused|Errno 111", one)]
    assert {one for one in odd if "grpc" not in one} == set()
    assert len([one for one in odd if "CANCELLED" in one]) <= 8
    assert {one for one in odd if "CANCELLED" not in one and "Unreachable" not in one} == set()
    assert sizes == [True]


@pytest.mark.slow
def test_server_that_was_killed_starts_again_on_its_ports_and_goes_on(
    ports: dict[str, int],
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path: Path,
) -> None:
    put_version("cats", tmp_path / "models" / "flowers" / "1")
    words = (
        str(tmp_path / "models"), f"--port={ports['gRPC']}", f"--rest_api_port={ports['REST']}",
        f"--grpc_socket_path={tmp_path / 'socket'}", f"--request_log_prefix={tmp_path / 'log'}",
        "--request_log_sampling_rate=1",
    )  # fmt: skip
    first = start_server(*words)
    first.wait_for_addresses()

    with asked_without_pause(first, "flowers") as load:
        load.wait_for_more(200)
        answered = load.answered
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        assert (tmp_path / "socket").exists()
        second = start_server(*words)
        second.wait_for_addresses()
        assert second.addresses == first.addresses
        load.wait_for_more(100)
        failed = len(load.errors)
        load.wait_for_more(200)
    assert len(load.errors) == failed  # none of it after the start
    # Ports are open while models load: until then the model is not found.
    other = {one for one in load.errors if "Servable not found" not in one}
    # The clients try again by themselves, so there may be none at all.
    assert {one.split(":")[0] for one in other} <= {"Unreachable"}
    with grpc.insecure_channel(f"unix:{tmp_path / 'socket'}") as channel:
        grpc.channel_ready_future(channel).result(20)
    assert count_records(tmp_path, first.process.pid) >= answered
    assert second.end() == 0
    assert count_records(tmp_path, second.process.pid) >= 300


def count_records(folder: Path, pid: int) -> int:
    """Count what a server has logged; all but a record that was just being written is whole."""
    count = 0
    for file in sorted(folder.glob(f"log-flowers-*-{pid}-*.tfrecord")):
        with suppress(tf.errors.DataLossError):
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                log = prediction_log_pb2.PredictionLog.FromString(record)
                assert log.predict_log.response.model_spec.version.value == 1
                count += 1
    return count
