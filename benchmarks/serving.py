"""Load a running server with one JPEG: requests a second, p50 and p99, at 1 and 16 clients.

    python benchmarks/serving.py models/flowers picture.jpg

Starts `python -m serving` on free ports of this machine, asks over REST and gRPC, and stops it.
The clients are threads of another process on the same cores; the first row is the same SavedModel
called in process by one caller.
"""

import base64
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

SECONDS = 8.0
MOST_REQUESTS = 20_000
CLIENTS = (1, 16)


def main(model: Path, picture: Path) -> None:
    """Print a row for every way of asking."""
    data = picture.read_bytes()
    version = max(model.iterdir(), key=lambda path: int(path.name) if path.name.isdigit() else 0)
    print("| way | clients | requests/s | p50 ms | p99 ms |\n|---|---|---|---|---|")
    loaded = tf.saved_model.load(str(version))
    signature = loaded.signatures["serving_default"]
    inputs = tf.constant([data])
    report("in process", 1, *load(lambda: signature(image_bytes=inputs)["scores"].numpy(), 1))
    server, rest, target = start(model)
    try:
        for clients in CLIENTS:
            report("REST", clients, *load(rest_caller(rest, model.name, data), clients))
        with grpc.insecure_channel(target) as channel:
            for clients in CLIENTS:
                report("gRPC", clients, *load(grpc_caller(channel, model.name, data), clients))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def start(model: Path) -> tuple[subprocess.Popen[str], str, str]:
    """Start the server and return it with its REST and gRPC addresses."""
    words = [sys.executable, "-m", "serving", str(model), "--port", "0", "--rest-api-port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    found: dict[str, str] = {}
    for line in server.stdout:
        if match := re.match(r"(REST|gRPC)\s+(\S+)", line):
            found[match[1]] = match[2]
        if len(found) == 2:
            return server, found["REST"], found["gRPC"]
    raise SystemExit("the server did not start")


def rest_caller(address: str, name: str, data: bytes) -> Callable[[], object]:
    """Return a call over HTTP with the picture in base64."""
    import http.client

    body = json.dumps({"instances": [{"b64": base64.b64encode(data).decode()}]})
    host = address.removeprefix("http://")
    local = threading.local()

    def call() -> object:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(host, timeout=30)
        local.connection.request("POST", f"/v1/models/{name}:predict", body)
        answer = local.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return text

    urllib.request.urlopen(f"{address}/readyz", timeout=10).close()
    return call


def grpc_caller(channel: grpc.Channel, name: str, data: bytes) -> Callable[[], object]:
    """Return a Predict call."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([data]))
    return lambda: stub.Predict(request, timeout=30)


def load(call: Callable[[], object], clients: int) -> tuple[float, float, float]:
    """Call from some threads for a while; return requests/s, p50 and p99 in ms."""
    for _ in range(5):
        call()
    ends = time.perf_counter() + SECONDS
    latencies: list[list[float]] = [[] for _ in range(clients)]

    def client(mine: list[float]) -> None:
        while time.perf_counter() < ends and len(mine) < MOST_REQUESTS // clients:
            began = time.perf_counter()
            call()
            mine.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client, args=(mine,)) for mine in latencies]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    all_of_them = np.concatenate([np.array(mine) for mine in latencies]) * 1000
    p50, p99 = np.percentile(all_of_them, [50, 99])
    return len(all_of_them) / seconds, float(p50), float(p99)


def report(way: str, clients: int, rate: float, p50: float, p99: float) -> None:
    """Print one row."""
    print(f"| {way} | {clients} | {rate:.0f} | {p50:.1f} | {p99:.1f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
