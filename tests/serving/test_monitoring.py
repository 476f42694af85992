"""What operators look at: metrics, the access log, and readiness that says what is missing."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, predict_pb2

from serving.access_log import AccessLog, request_id
from serving.errors import StartError
from serving.flags import parse_command_line
from serving.monitoring_file import read_monitoring_file

PAGE = "/watched/metrics"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def watched(
    folder: Path, put_version: Callable[[str, Path], None], start_server: Callable[..., Any]
) -> Any:
    put_version("numbers", folder / "numbers" / "7")
    (folder / "monitoring.config").write_text(
        f'prometheus_config {{ enable: true path: "{PAGE}" }}'
    )
    (folder / "models.config").write_text(
        f'model_config_list {{ config {{ name: "numbers" base_path: "{folder}/numbers" '
        'model_platform: "tensorflow" } }'
    )
    server = start_server(
        f"--model_config_file={folder / 'models.config'}",
        "--host=127.0.0.1",
        "--port=0",
        f"--rest_api_port={free_port()}",
        "--enable_batching",
        f"--monitoring_config_file={folder / 'monitoring.config'}",
        f"--access_log={folder / 'access.log'}",
    )
    server.wait_for_addresses()
    return server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def values(server: Any) -> dict[tuple[str, ...], float]:
    """Return the page: name and label values, sorted by label -> value."""
    status, page = server.call(PAGE)
    assert status == 200
    # The parser of the same library wants counters to be called `_total`.
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(re.sub(r"# TYPE .* counter\n", "", page))
        for sample in family.samples
    }


def ask(server: Any, count: int, **metadata: str) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "numbers"
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=count)
    tensor.float_val.extend([1.0] * count)
    with server.channel as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        return call.with_call(
            request.SerializeToString(), metadata=tuple(metadata.items()), timeout=60
        )[1]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]


def test_requests_examples_batches_and_versions_are_counted(watched: Any) -> None:
    before = values(watched)
    for _ in range(3):
        ask(watched, 2)
    status, _ = watched.call("/v1/models/numbers:predict", {"instances": [1, 2, 3, 4]})
    assert status == 200

    now = values(watched)
    increase = {key: now[key] - before.get(key, 0) for key in now}

    assert increase[":tensorflow:serving:request_count", "numbers", "OK"] == 4
    assert increase[":tensorflow:serving:request_example_count_total", "numbers"] == 10
    assert increase[":tensorflow:serving:request_example_counts_count", "numbers"] == 4
    assert increase[":tensorflow:serving:runtime_latency_count", "Predict", "numbers", "TF1"] == 3
    assert increase["tl_serving_requests_total", "GRPC", "numbers", "serving_default", "7"] == 3
    assert increase["tl_serving_requests_total", "REST", "numbers", "serving_default", "7"] == 1
    # One after the other: each is a batch by itself.
    assert increase["tl_serving_batch_rows_count", "numbers", "7"] == pytest.approx(4)
    assert increase["tl_serving_batch_rows_sum", "numbers", "7"] == pytest.approx(10)
    assert increase["tl_serving_batch_rows_bucket", "2.0", "numbers", "7"] == pytest.approx(3)
    assert now["tl_serving_version_state", "numbers", "AVAILABLE", "7"] == 1
    assert now["tl_serving_running_requests", "numbers", "7"] == 0
    assert now["tl_serving_waiting_requests", "GRPC"] == 0
    loads = {key: value for key, value in now.items() if "load_attempt_count" in key[0]}
    assert [(key[2], value) for key, value in loads.items() if "created" not in key[0]] == [
        ("success", 1)
    ]


def test_page_is_where_the_file_says_and_nowhere_else(watched: Any) -> None:
    assert watched.call("/monitoring/prometheus/metrics")[0] == 404


def test_reload_tells_the_increase_of_metrics(
    watched: Any, folder: Path, put_version: Callable[[str, Path], None]
) -> None:
    put_version("numbers", folder / "more" / "1")
    request = model_management_pb2.ReloadConfigRequest()
    for name in ("numbers", "more"):
        request.config.model_config_list.config.add(
            name=name, base_path=str(folder / name), model_platform="tensorflow"
        )
    request.metric_names.extend(
        ["/tensorflow/cc/saved_model/load_attempt_count", "/tensorflow/none"]
    )
    with watched.channel as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        response = stub.HandleReloadConfigRequest(request, timeout=60)

    assert {one.name: one.int64_value_increase for one in response.metric} == {
        "/tensorflow/cc/saved_model/load_attempt_count": 1,
        "/tensorflow/none": 0,
    }


def test_every_request_is_a_line_with_its_id(watched: Any, folder: Path) -> None:
    before = len(lines(folder))
    body = {"instances": [1]}
    assert watched.call("/v1/models/numbers:predict", body, **{"X-Request-Id": "a-1"})[0] == 200
    assert watched.call("/v1/models/nothing:predict", body, **{"X-Request-Id": 'b"\\'})[0] == 404
    trailers = dict(ask(watched, 1, **{"x-request-id": "c.3"}).trailing_metadata())
    with pytest.raises(grpc.RpcError), watched.channel as channel:
        channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"\xff", timeout=60)

    good, missing, over_grpc, garbage = lines(folder)[before:]

    assert good.items() >= {"id": "a-1", "protocol": "REST", "model": "numbers", "version": 7,
                            "status": 200, "method": "POST /v1/models/numbers:predict",
                            "bytes_in": 18}.items()  # fmt: skip
    assert good["client"].startswith("127.0.0.1:")
    assert good["ms"] > 0
    assert good["bytes_out"] > 10
    assert missing["status"] == 404
    assert re.fullmatch("[0-9a-f]{32}", missing["id"])
    assert trailers["x-request-id"] == "c.3"
    assert over_grpc.items() >= {"id": "c.3", "protocol": "gRPC", "model": "numbers", "version": 7,
                                 "status": "OK"}.items()  # fmt: skip
    assert garbage["status"] == "INTERNAL"
    assert garbage["bytes_in"] == 1


def test_log_that_was_moved_away_is_begun_anew(watched: Any, folder: Path) -> None:
    (folder / "access.log").rename(folder / "access.log.1")

    watched.call("/v1/models/numbers")

    assert [one["method"] for one in lines(folder)] == ["GET /v1/models/numbers"]


def test_readiness_tells_the_state_of_every_version(watched: Any) -> None:
    status, text = watched.call("/readyz")

    assert status == 200
    assert "numbers 7 AVAILABLE\n" in text


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("", None),
        ("prometheus_config {}", None),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: true path: "/m" }', "/m"),
    ],
)
def test_file_says_whether_there_is_a_page(tmp_path: Path, text: str, page: str | None) -> None:
    (tmp_path / "file").write_text(text)

    line = parse_command_line([str(tmp_path), f"--monitoring_config_file={tmp_path / 'file'}"])

    assert line.config is not None
    assert line.config.metrics_path == page


@pytest.mark.parametrize("path", ["metrics", "/v1/models/metrics", "/{path}"])
def test_page_cannot_be_just_anywhere(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text(f'prometheus_config {{ enable: true path: "{path}" }}')

    with pytest.raises(StartError, match="write one that begins with /"):
        read_monitoring_file(tmp_path / "file")


def test_access_log_that_cannot_be_written_ends_the_start(
    start_server: Callable[..., Any], folder: Path
) -> None:
    server = start_server(str(folder), "--port=0", "--rest_api_port=0", "--access_log=/none/a.log")

    assert server.process.wait(60) == 1
    server.process.stdout.close()
    assert "cannot write --access_log /none/a.log: No such file" in server.log.read_text()


def test_full_disk_costs_lines_and_no_requests(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog("/dev/full")

    for number in range(3):
        log.write(number=number)
    log.close()

    assert [record.getMessage() for record in caplog.records] == [
        "cannot write the access log: [Errno 28] No space left on device"
    ]


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb", "é"])
def test_ids_that_cannot_be_written_are_replaced(given: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", request_id(given))
