"""Too many requests are refused at once, and the server's state is still told."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.errors import Overloaded
from serving.workers import Workers, refuse_if_overloaded


def test_what_does_not_fit_is_refused_and_the_rest_is_done() -> None:
    workers, go = Workers(threads=1, waiting=2, name="test"), threading.Event()

    def work(number: int) -> int:
        refuse_if_overloaded()
        go.wait(10)
        return number

    futures = [workers.submit(work, number) for number in range(5)]
    with pytest.raises(Overloaded, match="1 requests in work and 2 waiting: try again later"):
        futures[4].result(5)
    go.set()
    assert [future.result(5) for future in futures[:3]] == [0, 1, 2]
    assert isinstance(futures[3].exception(5), Overloaded)
    # There is room again.
    assert [workers.submit(work, number).result(5) for number in range(20)] == list(range(20))
    workers.shutdown()
    with pytest.raises(RuntimeError):
        workers.submit(work, 0)


@pytest.mark.parametrize("waiting", [0, 3])
def test_all_that_is_let_in_is_answered_under_load(waiting: int) -> None:
    workers, lock, done = Workers(2, waiting, "test"), threading.Lock(), [0, 0]

    def work() -> None:
        try:
            refuse_if_overloaded()
        except Overloaded:
            with lock:
                done[1] += 1
            return
        time.sleep(0.001)
        with lock:
            done[0] += 1

    with ThreadPoolExecutor(8) as clients:
        for _ in range(500):
            clients.submit(workers.submit, work)
    workers.shutdown()
    assert sum(done) == 500
    assert min(done) > 0


def test_overloaded_server_refuses_predictions_and_tells_its_state(
    start_server: Callable[..., Any], put_version: Callable[[str, Path], None], tmp_path: Path
) -> None:
    put_version("cats", tmp_path / "cats" / "1")
    server = start_server(
        str(tmp_path / "cats"), "--port=0", "--rest_api_port=0", "--grpc_max_threads=1",
        "--rest_api_num_threads=1", "--max_waiting_requests=1",
    )  # fmt: skip
    server.wait_for_addresses()
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "cats", "slow"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([b"x"]))
    body = {"signature_name": "slow", "instances": [{"b64": "eA=="}]}

    with server.channel as channel, ThreadPoolExecutor(16) as clients:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        calls = [predict.future(request, timeout=60) for _ in range(6)]
        posts = [clients.submit(server.call, "/v1/models/cats:predict", body) for _ in range(6)]
        time.sleep(0.7)  # both transports have one in work, one waiting, and the rest refused
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(
            get_model_status_pb2.GetModelStatusRequest(model_spec=request.model_spec), timeout=1
        )
        assert status.model_version_status[0].state == 30
        assert server.call("/v1/models/cats")[0] == 200
        codes = [call.code() for call in calls]
        answers = [post.result() for post in posts]

    assert codes.count(grpc.StatusCode.OK) == 2
    assert codes.count(grpc.StatusCode.UNAVAILABLE) == 4
    assert sorted(status for status, _ in answers) == [200, 200, 429, 429, 429, 429]
    refused = next(body for status, body in answers if status == 429)
    assert "try again later" in refused["error"]
    assert np.isfinite(next(body for status, body in answers if status == 200)["predictions"][0])
    _, page = server.call("/monitoring/prometheus/metrics")
    assert 'request_count{model_name="cats",status="UNAVAILABLE"} 8.0' in page
    assert server.end() == 0
