"""A hundred thousand requests leave no memory behind."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.memory import EVERY_S

from .under_load import memory_mb

CLIENTS, ERRORS_EVERY = 8, 10
MOST_GROWTH_MB = 10


@pytest.mark.parametrize(
    "count",
    [pytest.param(5_000, marks=pytest.mark.slow), pytest.param(100_000, marks=pytest.mark.soak)],
)
def test_memory_is_flat_over_many_requests(
    count: int,
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path: Path,
) -> None:
    put_version("numbers", tmp_path / "numbers" / "1")
    server = start_server(str(tmp_path), "--port=0", "--rest_api_port=0")
    server.wait_for_addresses()

    seen = send(server, count // 10)  # what is prepared once is not growth
    time.sleep(EVERY_S + 1)  # what was freed is given back now and then
    before = memory_mb(server)
    began = time.monotonic()
    seen += send(server, count - count // 10)
    took_s = time.monotonic() - began
    time.sleep(EVERY_S + 1)
    after = memory_mb(server)

    print(f"{dict(seen)} in {took_s:.0f} s, {before:.1f} MB before and {after:.1f} after")  # noqa: T201
    assert sum(seen.values()) == count
    assert seen["200"] + seen["OK"] == count - count // ERRORS_EVERY
    assert set(seen) == {"200", "400", "404", "OK", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert after - before < MOST_GROWTH_MB
    assert server.end() == 0


def send(server: Any, count: int) -> Counter[str]:
    """Send requests from several clients on kept connections, every tenth of them wrong."""
    numbers, lock, seen = iter(range(count)), threading.Lock(), Counter[str]()

    def work(ask: Callable[[int], str]) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            said = ask(number)
            with lock:
                seen[said] += 1

    def rest() -> None:
        host, port = server.rest.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)

        def ask(number: int) -> str:
            model, rows = wrong_or_right(number)
            body = json.dumps({"instances": rows})
            connection.request("POST", f"/v1/models/{model}:predict", body)
            answer = connection.getresponse()
            found = json.loads(answer.read())
            if answer.status == 200:
                assert found["predictions"] == [number / 2 + 2]
            return str(answer.status)

        work(ask)
        connection.close()

    def over_grpc() -> None:
        with server.channel as channel:
            predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict

            def ask(number: int) -> str:
                model, rows = wrong_or_right(number)
                request = predict_pb2.PredictRequest()
                request.model_spec.name = model
                dtype = np.float32 if isinstance(rows[0], float) else object
                request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array(rows, dtype)))
                try:
                    answer = predict(request, timeout=60)
                except grpc.RpcError as error:
                    return str(error.code().name)
                assert list(answer.outputs["y"].float_val) == [np.float32(number / 2 + 2)]
                return "OK"

            work(ask)

    kinds = itertools.islice(itertools.cycle((rest, over_grpc)), CLIENTS)
    threads = [threading.Thread(target=kind) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def wrong_or_right(number: int) -> tuple[str, list[Any]]:
    """Give a model and rows for it; by turns there is no such model, and the rows are words."""
    if number % ERRORS_EVERY:
        return "numbers", [float(number)]
    return ("nothing", [1.0]) if number % (2 * ERRORS_EVERY) else ("numbers", ["word"])
