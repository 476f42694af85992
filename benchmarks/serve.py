"""Throughput and latency of the server beside what is possible in process, and beside three others.

    python benchmarks/serve.py MODEL PICTURES [--peers PYTHON]

MODEL is an exported model of tl, PICTURES a folder of JPEGs, of which 32 are sent in turns. All
servers get the same SavedModel and the same pictures, one at a time, on this machine's processors,
which the clients share; each server is started, measured, and stopped before the next. PYTHON is
that of an environment with bentoml in it (docs/benchmarks.md); without it BentoML is left out.

The limit is the same graph, constants folded, called in this process: as many threads as
processors decode, and the pictures run in the best batches of 8, 16, 32 and 64. It is measured
again before and after each row, as the speed of shared machines changes from minute to minute.
"""

import argparse
import base64
import contextlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

# Read when TensorFlow makes its first device: each model has threads of its own.
os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"

import numpy as np
from traffic import Answers, GrpcConnection, HttpConnection, Way, closed_loop, open_loop

PEERS = Path(__file__).parent / "peers"
BATCHES = (8, 16, 32, 64)
SENT = 32
START_S = 120
Started = Callable[[Path, Sequence[bytes], str], "tuple[subprocess.Popen[str], list[Way]]"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--peers", default="", help="python of an environment with bentoml")
    parser.add_argument("--only", nargs="+", default=list(SERVERS), choices=list(SERVERS))
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--open-loop", action="store_true", help="also latency against rate")
    parser.add_argument("--flags", nargs="*", default=[], help="of tl's server")
    options = parser.parse_args()
    versions = [one for one in options.model.iterdir() if one.name.isdigit()]
    version = max(versions, key=lambda one: int(one.name)).resolve()
    files = sorted(options.pictures.rglob("*.jpg"))
    if len(files) < SENT:
        parser.error(f"{options.pictures} has {len(files)} pictures (*.jpg): give {SENT} or more")
    pictures = [one.read_bytes() for one in files[:: max(1, len(files) // SENT)][:SENT]]
    TL_FLAGS.extend(options.flags)
    found = [in_process(version, pictures, options.seconds, threads)
             for threads in sorted({1, os.cpu_count() or 1})]  # fmt: skip
    _, limit = max(found, key=lambda one: one[0])
    print("\n| server | clients | requests/s | limit | share | p50 ms | p99 ms | not answered |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.only:
        if name == "bentoml" and not options.peers:
            continue
        with running(name, version, pictures, options.peers) as ways:
            for way in ways:
                for clients in options.clients:
                    before = limit()
                    answers = closed_loop(way, clients, options.seconds)
                    report(way, clients, answers, (before + limit()) / 2)
                if options.open_loop and name == "tl":
                    against_rate(way, options.seconds)


def report(way: Way, clients: int, answers: Answers, limit: float) -> None:
    """Print a row."""
    lost, share = answers.refused + answers.failed, answers.rate / limit
    print(
        f"| {way.name} | {clients} | {answers.rate:.0f} | {limit:.0f} | {share:.2f} | "
        f"{answers.percentile_ms(50):.1f} | {answers.percentile_ms(99):.1f} | {lost} |",
        flush=True,
    )


def against_rate(way: Way, seconds: float) -> None:
    """Print latency against the rate of arrivals, up to twice of what can be served."""
    peak = closed_loop(way, 16, seconds).rate
    print(f"\n{way.name}, arrivals at constant rates; peak {peak:.0f}/s with 16 clients\n")
    print(
        "| of the peak | arrivals/s | answered/s | p50 ms | p99 ms | p99 / p50 | refused | lost |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for share in (0.3, 0.5, 0.7, 0.9, 1.2, 2.0):
        found = open_loop(way, share * peak, seconds)
        p50, p99 = found.percentile_ms(50), found.percentile_ms(99)
        print(
            f"| {share} | {share * peak:.0f} | {found.rate:.0f} | {p50:.1f} | {p99:.1f} | "
            f"{p99 / p50:.1f} | {found.refused} | {found.failed} |",
            flush=True,
        )
    print(flush=True)


def in_process(
    version: Path, pictures: Sequence[bytes], seconds: float, threads: int
) -> tuple[float, Callable[[], float]]:
    """Print what one process reaches without a server, on so many threads an operation.

    Returns:
        The highest rate, and what measures that way again.
    """
    from serving.config import LoadOptions
    from serving.servable import Servable, load_servable

    servable: Servable = load_servable(
        "limit", 1, version, LoadOptions(batches=False, intra_op_parallelism=threads)
    )
    arrays = [np.array([one], object) for one in pictures]
    outputs = ["labels", "scores"]

    def whole(files: object) -> object:
        return servable.run("serving_default", {"image_bytes": files}, outputs)  # type: ignore[dict-item]

    def decode(file: object) -> object:
        return servable.run("decode", {"image_bytes": file}, ["image"])["image"]  # type: ignore[dict-item]

    def forward(images: object) -> object:
        return servable.run("predict_image", {"image": images}, outputs)  # type: ignore[dict-item]

    def rate_of(step: Callable[[int], int]) -> float:
        step(0)
        began, done, number = time.perf_counter(), 0, 0
        while (now := time.perf_counter()) < began + seconds / 2:
            done += step(number)
            number += 1
        return done / (now - began)

    def one(number: int) -> int:
        whole(arrays[number % SENT])
        return 1

    def batch_of(size: int) -> Callable[[int], int]:
        files = np.array([pictures[place % SENT] for place in range(size)], object)

        def step(number: int) -> int:
            whole(files)
            return size

        return step

    print(f"\n| in process, {threads} threads an operation | pictures/s |\n|---|---|")
    ways = {"one call at a time": partial(rate_of, one)}
    for size in BATCHES:
        ways[f"serving_default, batches of {size}"] = partial(rate_of, batch_of(size))
    for size in (1, *BATCHES):
        name = f"decoded by {os.cpu_count()} threads, batches of {size}"
        ways[name] = partial(_pipeline, arrays, decode, forward, size, seconds / 2)
    found = {name: way() for name, way in ways.items()}
    for name, rate in found.items():
        print(f"| {name} | {rate:.0f} |")
    bare_ms = 1e3 / found["one call at a time"]
    print(f"\na bare call of one picture takes {bare_ms:.1f} ms", flush=True)
    best = max(found, key=lambda name: found[name])
    return found[best], ways[best]


def _pipeline(
    arrays: Sequence[object],
    decode: Callable[[object], object],
    forward: Callable[[object], object],
    size: int,
    seconds: float,
) -> float:
    """Return pictures a second where some threads decode and each runs the batches it fills."""
    decoded: queue.Queue[object] = queue.Queue(4 * size)
    forward(np.concatenate([decode(arrays[place % SENT]) for place in range(size)]))  # type: ignore[misc]
    end, done = time.perf_counter() + seconds, [0]

    def work(place: int) -> None:
        number = place
        while time.perf_counter() < end:
            image = decode(arrays[number % SENT])
            while True:
                try:
                    decoded.put_nowait(image)
                    break
                except queue.Full:
                    time.sleep(0.0005)
                    if time.perf_counter() > end:
                        return
            number += 1

    threads = [threading.Thread(target=work, args=(one,)) for one in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    while time.perf_counter() < end:
        try:
            images = [decoded.get(timeout=1.0) for _ in range(size)]
        except queue.Empty:  # the time is over for those who decode
            break
        forward(np.concatenate(images))
        done[0] += size
    seconds = time.perf_counter() - began
    for thread in threads:
        thread.join()
    return done[0] / seconds


TL_FLAGS: list[str] = []


def start_tl(
    version: Path, pictures: Sequence[bytes], python: str
) -> tuple[subprocess.Popen[str], list[Way]]:
    """Start tl's server; return its process and how it is asked."""
    del python
    name = version.parent.name
    words = [sys.executable, "-m", "serving", str(version.parent), "--port=0", "--rest_api_port=0"]
    server = subprocess.Popen([*words, *TL_FLAGS], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    assert server.stdout is not None
    found: dict[str, str] = {}
    for line in server.stdout:
        if match := re.match(r"(REST|gRPC)\s+(\S+)", line):
            found[match[1]] = match[2]
        if len(found) == 2:
            break
    from tensorflow_serving.apis import predict_pb2

    requests, bodies = [], []
    for picture in pictures:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        tensor = request.inputs["image_bytes"]
        tensor.dtype = 7  # DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(picture)
        requests.append(request.SerializeToString())
        bodies.append(json.dumps({"instances": [{"b64": _text(picture)}]}).encode())
    host, path = found["REST"].removeprefix("http://"), f"/v1/models/{name}:predict"
    return server, [
        Way("tl, gRPC", partial(GrpcConnection, found["gRPC"], requests)),
        Way("tl, REST", partial(HttpConnection, host, path, bodies)),
        Way("tl, REST, raw body", partial(HttpConnection, host, path, pictures,
                                          Content_Type="image/jpeg")),
    ]  # fmt: skip


def start_starlette(
    version: Path, pictures: Sequence[bytes], python: str
) -> tuple[subprocess.Popen[str], list[Way]]:
    """Start the minimal server."""
    del python
    port = _free_port()
    server = _start([sys.executable, str(PEERS / "serve_starlette.py"), str(version), str(port)])
    connect = partial(HttpConnection, f"127.0.0.1:{port}", "/predict", pictures)
    return server, [Way("Starlette and tf.saved_model.load", connect)]


def start_mlflow(
    version: Path, pictures: Sequence[bytes], python: str
) -> tuple[subprocess.Popen[str], list[Way]]:
    """Start `mlflow models serve`."""
    del python
    port, folder = _free_port(), tempfile.mkdtemp()
    script = [sys.executable, str(PEERS / "serve_mlflow.py"), str(version), f"{folder}/model"]
    subprocess.run(script, check=True, capture_output=True)
    words = ["-m", "mlflow", "models", "serve", "-m", f"{folder}/model", "--env-manager", "local"]
    # It calls `uvicorn` by its name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = _start([sys.executable, *words, "-h", "127.0.0.1", "-p", str(port)], PATH=path)
    bodies = [json.dumps({"inputs": [_text(one)]}).encode() for one in pictures]
    connect = partial(HttpConnection, f"127.0.0.1:{port}", "/invocations", bodies,
                      Content_Type="application/json")  # fmt: skip
    return server, [Way("mlflow models serve", connect)]


def start_bentoml(
    version: Path, pictures: Sequence[bytes], python: str
) -> tuple[subprocess.Popen[str], list[Way]]:
    """Start `bentoml serve`."""
    port = _free_port()
    words = [python, "-m", "bentoml", "serve", "serve_bentoml:Pictures", "--port", str(port)]
    server = _start(words, cwd=PEERS, VERSION=str(version), BENTOML_DO_NOT_TRACK="1")
    # Its batches are of a whole client's list; one picture a request, as everywhere here.
    bodies = [json.dumps({"images": [_text(one)]}).encode() for one in pictures]
    connect = partial(HttpConnection, f"127.0.0.1:{port}", "/predict", bodies,
                      Content_Type="application/json")  # fmt: skip
    return server, [Way("BentoML", connect)]


SERVERS: dict[str, Started] = {
    "tl": start_tl,
    "starlette": start_starlette,
    "mlflow": start_mlflow,
    "bentoml": start_bentoml,
}


@contextmanager
def running(
    name: str, version: Path, pictures: Sequence[bytes], python: str
) -> Iterator[list[Way]]:
    """Start a server, wait until it answers, and stop it."""
    server, ways = SERVERS[name](version, pictures, python)
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                for way in ways:
                    closed_loop(way, 1, 0.5)
                break
            except (OSError, EOFError) as error:
                if server.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"{name} does not answer: {error}") from error
                time.sleep(0.5)
        yield ways
    finally:
        _stop(server)


def _start(words: list[str], cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=cwd, env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip


def _stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(timeout=30)
    # Some run their workers in processes of their own.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _text(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


if __name__ == "__main__":
    main()
