"""A sample of requests is kept, and warms up the next version."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from serving.config import LoadOptions, LogConfig, ModelConfig
from serving.errors import InvalidArgument
from serving.models_file import models_of
from serving.request_log import RECORDS_A_FILE, RequestLogs
from serving.servable import load_servable
from serving.warmup import REQUESTS_FILE, warm_up

from .example_models import build_examples


def records(files: list[Path]) -> list[Any]:
    return [
        prediction_log_pb2.PredictionLog.FromString(one)
        for file in sorted(files)
        for one in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]


def test_requests_of_all_kinds_are_kept_and_warm_up_the_next_version(
    start_server: Callable[..., Any], put_version: Callable[[str, Path], None], tmp_path: Path
) -> None:
    put_version("cats", tmp_path / "models" / "cats" / "1")
    build_examples(tmp_path / "models" / "examples" / "1")
    server = start_server(
        str(tmp_path / "models"), "--port=0", "--rest_api_port=0",
        f"--request_log_prefix={tmp_path}/logs/all", "--request_log_sampling_rate=1",
    )  # fmt: skip
    server.wait_for_addresses()
    picture = {"instances": [{"b64": "eHk="}]}
    status, answer = server.call("/v1/models/cats:predict", picture)
    assert status == 200
    assert server.call("/v1/models/cats:predict", {"instances": [1]})[0] == 400  # not kept
    example = {"examples": [{"x": 0.25}]}
    assert server.call("/v1/models/examples:regress", example)[0] == 200
    classify = {"signature_name": "classify", **example}
    assert server.call("/v1/models/examples:classify", classify)[0] == 200
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "cats"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([b"xy"]))
    with server.channel as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        over_grpc = stub.Predict(request, timeout=30)
        of_classes = classification_pb2.ClassificationRequest()
        of_classes.model_spec.name = "examples"
        of_classes.model_spec.signature_name = "classify"
        feature = of_classes.input.example_list.examples.add().features.feature["x"]
        feature.float_list.value.append(0.5)
        stub.Classify(of_classes, timeout=30)
    assert server.end() == 0

    files = list((tmp_path / "logs").iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    cats = records([file for file in files if "all-cats-" in file.name])
    others = records([file for file in files if "all-examples-" in file.name])
    kept = [(one.WhichOneof("log_type"), one) for one in cats]
    assert [kind for kind, _ in kept] == ["predict_log", "predict_log"]
    assert cats[1].predict_log.request == request
    assert cats[1].predict_log.response == over_grpc
    # Over REST as over gRPC.
    inputs = cats[0].predict_log.request.inputs
    assert list(inputs["image_bytes"].string_val) == [b"xy"]
    scores = cats[0].predict_log.response.outputs["scores"].float_val
    assert list(scores) == pytest.approx(answer["predictions"][0]["scores"])
    kinds = [one.WhichOneof("log_type") for one in others]
    assert kinds == ["regress_log", "classify_log", "classify_log"]

    for name, file in (("cats", "all-cats-"), ("examples", "all-examples-")):
        version = tmp_path / "models" / name / "1"
        (version / REQUESTS_FILE).parent.mkdir(exist_ok=True)
        (found,) = [one for one in files if file in one.name]
        shutil.copy(found, version / REQUESTS_FILE)
        servable = load_servable(name, 1, version, LoadOptions())
        warm_up(servable, version, 1)
        servable.close()


def test_a_share_of_requests_is_drawn() -> None:
    logs = RequestLogs(LogConfig(prefix="any", sampling_rate=0.2))
    drawn = sum(logs.draws("model") for _ in range(5000))
    assert 800 < drawn < 1200
    logs.update([ModelConfig(name="model", base_path=Path("/m"),
                             log=LogConfig(prefix="own", sampling_rate=0.0))])  # fmt: skip
    assert not any(logs.draws("model") for _ in range(1000))
    assert any(logs.draws("other") for _ in range(1000))
    assert not RequestLogs(None).draws("model")


def test_files_have_no_more_records_than_a_warm_up_may(tmp_path: Path) -> None:
    logs = RequestLogs(LogConfig(prefix=f"{tmp_path}/log", sampling_rate=1.0))
    for number in range(RECORDS_A_FILE + 5):
        record = prediction_log_pb2.PredictionLog()
        record.predict_log.request.model_spec.version.value = number
        logs.write("model", record)
    logs.close()

    files = sorted(tmp_path.iterdir(), key=lambda file: int(file.stem.rsplit("-", 1)[1]))
    assert [len(records([file])) for file in files] == [RECORDS_A_FILE, 5]


def test_disk_that_cannot_be_written_costs_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    logs = RequestLogs(LogConfig(prefix=f"{tmp_path}/file/log", sampling_rate=1.0))

    for _ in range(3):
        logs.write("model", prediction_log_pb2.PredictionLog())

    assert caplog.text.count("requests cannot be logged") == 1


@pytest.mark.parametrize(("rate", "prefix"), [(1.5, "/logs/x"), (-0.1, "/logs/x"), (0.5, "")])
def test_configuration_of_a_model_is_checked(rate: float, prefix: str) -> None:
    from tensorflow_serving.config import model_server_config_pb2

    message = model_server_config_pb2.ModelServerConfig()
    model = message.model_config_list.config.add(
        name="m", base_path="/m", model_platform="tensorflow"
    )
    model.logging_config.sampling_config.sampling_rate = rate
    model.logging_config.log_collector_config.filename_prefix = prefix

    with pytest.raises(InvalidArgument, match="sampling rate|no prefix"):
        models_of(message)
    model.logging_config.sampling_config.sampling_rate = 0.5
    model.logging_config.log_collector_config.filename_prefix = "/logs/m"
    assert models_of(message)[0].log == LogConfig(prefix="/logs/m", sampling_rate=0.5)
