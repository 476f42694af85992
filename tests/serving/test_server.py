"""Start, wait, end: the process as its operator sees it."""

import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.client import Client
from serving.errors import Unreachable
from serving.server import main


@pytest.fixture
def occupied() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_port_in_use_ends_the_start(
    flag: str, occupied: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"--port": "--rest_api_port", "--rest_api_port": "--port"}[flag]

    assert main([str(tmp_path), f"{flag}={occupied}", f"{other}=0"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot listen on 127.0.0.1:{occupied}" in line
    assert f"choose another with {flag}" in line


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nope.invalid", "which is no address: "),
        ("192.0.2.1", "which is no address of this machine: "),  # of examples, nobody's
        ("a" * 70 + ".b", "which is no address: "),
    ],
)
def test_host_that_is_no_address_of_this_machine_ends_the_start(
    host: str, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--port=0", "--rest_api_port=0", f"--host={host}"]) == 1

    (line,) = capfd.readouterr().err.splitlines()
    assert f"--host is '{host}', {words}" in line
    assert "give" in line


def test_missing_base_path_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model_base_path", str(tmp_path / "nowhere")]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere does not exist: a version is a folder named by a number" in line


def test_malformed_file_of_models_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "models.config"
    file.write_text("model_config_list { config { name: flowers } }")

    assert main([f"--model_config_file={file}"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: Invalid protobuf file: '{file}': 1:")


def test_missing_path_of_a_model_in_a_file_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "models.config"
    file.write_text(
        'model_config_list { config { name: "a" base_path: "/nowhere/a" '
        'model_platform: "tensorflow" } }'
    )

    assert main([f"--model_config_file={file}"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert "base path /nowhere/a does not exist" in line


def test_wrong_flag_is_a_usage_error_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--rest_api_prot=8501"]) == 2

    assert capsys.readouterr().err == (
        "error: unknown flag --rest_api_prot: did you mean --rest_api_port?\n"
    )


def test_version_prints_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    server, library = capsys.readouterr().out.splitlines()
    assert server.startswith("TensorFlow ModelServer: ")
    assert library.startswith("TensorFlow Library: 2.")


def call_slow(address: str, answers: list[Any]) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "flowers"
    request.model_spec.signature_name = "slow"
    request.inputs["image_bytes"].dtype = 7
    request.inputs["image_bytes"].tensor_shape.dim.add().size = 1
    request.inputs["image_bytes"].string_val.append(b"picture")
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answers.append(stub.Predict(request, timeout=60))


def wait_for_status(server: Any, path: str, status: int) -> None:
    end_s = time.monotonic() + 60
    while server.call(path)[0] != status:
        assert time.monotonic() < end_s, f"{path} did not become {status}"
        time.sleep(0.02)


def test_server_waits_for_a_model_and_ends_without_losing_a_request(
    tmp_path: Path,
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    server = start_server(
        str(models), "--port=0", "--rest_api_port", "0", "--file-system-poll-wait-seconds=0.2"
    )

    server.addresses["REST"] = server.wait_for_log(r"REST  (\S+),")[1]
    server.wait_for_log("models is empty: waiting for a model to serve")
    assert server.call("/healthz")[0] == 200
    assert server.call("/readyz") == (503, "waiting for a model or a version of it\n")

    put_version("cats", models / "flowers" / "1")
    server.wait_for_addresses()
    assert server.call("/readyz")[0] == 200

    rest_answers: list[Any] = []
    grpc_answers: list[Any] = []
    body = {"signature_name": "slow", "instances": ["picture"]}
    slow = [
        threading.Thread(
            target=lambda: rest_answers.append(server.call("/v1/models/flowers:predict", body))
        ),
        threading.Thread(target=call_slow, args=(server.addresses["gRPC"], grpc_answers)),
    ]
    for thread in slow:
        thread.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    wait_for_status(server, "/readyz", 503)
    for thread in slow:
        thread.join()

    assert [status for status, _ in rest_answers] == [200]
    assert len(grpc_answers) == 1
    assert server.process.wait(10) == 0
    server.process.stdout.close()
    assert "imported [], keras None" in server.log.read_text()


@pytest.mark.slow
def test_missing_base_path_is_waited_for_where_that_is_asked_for(
    tmp_path: Path,
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
) -> None:
    base = tmp_path / "not" / "yet" / "flowers"
    server = start_server(
        "--model_name=flowers", f"--model_base_path={base}", "--wait_for_model", "--port=0",
        f"--rest_api_port={free_port()}", "--file_system_poll_wait_seconds=0.2",
    )  # fmt: skip
    server.addresses["REST"] = server.wait_for_log(r"REST  (\S+),")[1]
    assert server.call("/healthz")[0] == 200
    assert server.call("/readyz")[0] == 503
    assert server.process.poll() is None

    put_version("cats", base / "1")
    server.wait_for_addresses()
    assert server.call("/readyz")[0] == 200
    body = {"signature_name": "slow", "instances": ["picture"]}
    assert server.call("/v1/models/flowers:predict", body)[0] == 200


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.slow
def test_grace_period_bounds_the_end_and_a_second_signal_is_obeyed_at_once(
    tmp_path: Path,
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
) -> None:
    put_version("cats", tmp_path / "flowers" / "1")
    codes = []
    for grace_s, second_signal in ((0.3, False), (30, True)):
        server = start_server(
            str(tmp_path / "flowers"),
            "--port=0",
            "--rest_api_port=0",
            f"--shutdown_grace_seconds={grace_s}",
        )
        server.wait_for_addresses()
        client = Client(f"{server.rest}/flowers")
        thread = threading.Thread(target=ask_slowly, args=(client,))
        thread.start()
        time.sleep(0.3)
        server.process.send_signal(signal.SIGINT)
        if second_signal:
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
        codes.append(server.process.wait(10))
        thread.join()
        client.close()
        server.process.stdout.close()

    assert codes == [1, 128 + signal.SIGINT]


def ask_slowly(client: Client) -> None:
    with pytest.raises(Unreachable):
        client.predict_bytes([b"picture"] * 2, signature_name="slow")


@pytest.mark.slow
def test_tensorflow_model_server_spelling(
    tmp_path: Path,
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
) -> None:
    put_version("cats", tmp_path / "versions" / "1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start_server(
        "--port=0",
        f"--rest_api_port={port}",
        "--model_name=flowers",
        f"--model_base_path={tmp_path / 'versions'}",
        f"--grpc_socket_path={tmp_path / 'socket'}",
        "--enable_batching",
        "--num_load_threads=2",
        "--rest_api_enable_cors_support",
        "--enable_serialization_as_tensor_content",
    )
    server.wait_for_addresses()
    answers: list[Any] = []
    call_slow(f"unix:{tmp_path / 'socket'}", answers)

    assert server.addresses["REST"] == f"http://0.0.0.0:{port}"
    with urllib.request.urlopen(f"{server.rest}/v1/models/flowers", timeout=60) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert answers[0].outputs["waited"].tensor_content != b""
    server.wait_for_log("--num_load_threads has no effect here")
    assert server.end() == 0


@pytest.mark.slow
def test_health_service_and_reflection(
    tmp_path: Path, start_server: Callable[..., Any], put_version: Callable[[str, Path], None]
) -> None:
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    (tmp_path / "models").mkdir()
    server = start_server(
        str(tmp_path / "models"),
        "--port=0",
        "--rest_api_port=0",
        "--file_system_poll_wait_seconds=0.2",
        "--enable_grpc_healthcheck_service",
    )
    address = server.wait_for_log(r"gRPC  (\S+)")[1]
    status = health_pb2.HealthCheckResponse.ServingStatus
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def asked(service: str = "") -> Any:
            return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status

        assert asked() == status.NOT_SERVING
        put_version("cats", tmp_path / "models" / "flowers" / "1")
        server.wait_for_addresses()
        end_s = time.monotonic() + 10
        while asked("PredictionService") != status.SERVING:
            assert time.monotonic() < end_s
            time.sleep(0.02)
        assert asked() == asked("ModelService") == status.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            asked("nobody")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

        database = ProtoReflectionDescriptorDatabase(channel)
        assert {
            "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
        } <= set(database.get_services())  # fmt: skip
        service = DescriptorPool(database).FindServiceByName("tensorflow.serving.PredictionService")
        assert {"Predict", "MultiInference"} <= {method.name for method in service.methods}
    assert server.end() == 0
