"""Small real models, and one real server that the tests of this folder share.

The models are plain `tf.Module`s; nothing here knows Keras. The server runs in a process in which
Keras cannot be imported, as in an image that has TensorFlow alone.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import grpc
import pytest

from .certificates import Authority, write
from .exported import export

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

START_TIMEOUT_S = 120.0  # TensorFlow is slow to import where many processes share few cores

# Ends with a line that says which modules the server has imported.
_RUN = """
import sys
sys.modules["keras"] = None
from serving.server import main
code = main(sys.argv[1:])
found = sorted({"tl", "pipelines"} & set(sys.modules))
print(f"imported {found}, keras {sys.modules['keras']}", file=sys.stderr)
sys.exit(code)
"""


def build_classifier(path: Path, class_names: list[str], extra_output: bool) -> None:
    """Write a model with the signature of an image classifier: scores from the bytes' length."""
    import tensorflow as tf

    class Classifier(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.labels = tf.Variable(class_names)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])  # type: ignore[untyped-decorator]
        def serve(self, image_bytes: Any) -> dict[str, Any]:
            size = tf.cast(tf.strings.length(image_bytes), tf.float32)[:, None]
            scores = tf.nn.softmax(-size * tf.range(1.0, len(class_names) + 1))
            outputs = {
                "labels": tf.tile(self.labels[None, :], [tf.shape(image_bytes)[0], 1]),
                "scores": scores,
            }
            if extra_output:
                outputs["ood_score"] = size[:, 0]
            return outputs

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])  # type: ignore[untyped-decorator]
        def slow(self, image_bytes: Any) -> dict[str, Any]:
            end = tf.timestamp() + 1.5
            waited = tf.while_loop(
                lambda now: now < end, lambda now: [tf.timestamp()], [tf.timestamp()]
            )
            return {"waited": tf.fill(tf.shape(image_bytes), waited[0] - end)}

    model = Classifier()
    tf.saved_model.save(model, str(path), {"serving_default": model.serve, "slow": model.slow})


def build_numbers(path: Path) -> None:
    """Write a model with inputs and outputs of several types."""
    import tensorflow as tf

    class Numbers(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def half_plus_two(self, x: Any) -> dict[str, Any]:
            return {"y": x / 2 + 2}

        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def logarithm(self, x: Any) -> dict[str, Any]:
            return {"y": tf.math.log(x)}

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None], tf.float32, name="a"),
                tf.TensorSpec([None], tf.int32, name="b"),
            ]
        )
        def two(self, a: Any, b: Any) -> dict[str, Any]:
            total = tf.reduce_sum(a)
            return {"a": a, "raw_bytes": tf.strings.as_string(b), "total": total, "wide": b + 1}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])  # type: ignore[untyped-decorator]
        def echo(self, text: Any) -> dict[str, Any]:
            return {"text": tf.strings.join([text, ""])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.half, name="x")])  # type: ignore[untyped-decorator]
        def half(self, x: Any) -> dict[str, Any]:
            return {"y": x + 1}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="n")])  # type: ignore[untyped-decorator]
        def ones(self, n: Any) -> dict[str, Any]:
            return {"y": tf.ones([n[0]])}

    model = Numbers()
    names = ("logarithm", "two", "echo", "half", "ones")
    signatures = {name: getattr(model, name) for name in names}
    tf.saved_model.save(model, str(path), {"serving_default": model.half_plus_two, **signatures})


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cats` and `birds` (classifiers with other classes) and `numbers`.

    Each is a version without its number: copy or rename it to where it is to be served.
    """
    folder = tmp_path_factory.mktemp("saved_models")
    build_classifier(folder / "cats", ["lynx", "puma"], extra_output=False)
    build_classifier(folder / "birds", ["owl", "wren", "kite"], extra_output=True)
    build_numbers(folder / "numbers")
    return folder


@pytest.fixture(scope="session")
def put_version(saved_models: Path) -> Callable[[str, Path], None]:
    """Put a version in place in one step, as an export does: written aside, then renamed."""

    def put(name: str, version: Path) -> None:
        version.parent.mkdir(parents=True, exist_ok=True)
        aside = version.parent / f"{version.name}.part"
        shutil.copytree(saved_models / name, aside)
        aside.rename(version)

    return put


@dataclass
class RunningServer:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    log: Path
    addresses: dict[str, str] = field(default_factory=dict)

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        end_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end_s:
            if found := re.search(pattern, self.log.read_text()):
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} is not in the log:\n{self.log.read_text()}")

    def wait_for_addresses(self) -> None:
        assert self.process.stdout is not None
        for _ in range(2):
            name, address = self.process.stdout.readline().split()
            self.addresses[name] = address

    @property
    def rest(self) -> str:
        return self.addresses["REST"]

    @property
    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.addresses["gRPC"])

    def call(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Call REST: POST where there is a body; JSON in both directions unless it is bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.rest + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, content = error.code, error.read()
        text = content.decode(errors="replace")  # strings of a model come back as they are
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def start_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., RunningServer]]:
    """Start servers; what a test does not end is ended here."""
    started: list[tuple[RunningServer, IO[str]]] = []

    def start(*words: str) -> RunningServer:
        log = tmp_path_factory.mktemp("server") / "log"
        stream = log.open("w")
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *words],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
        started.append((RunningServer(process, log), stream))
        return started[-1][0]

    yield start
    for server, stream in started:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
        stream.close()


@pytest.fixture(scope="session")
def models(
    tmp_path_factory: pytest.TempPathFactory, put_version: Callable[[str, Path], None]
) -> Path:
    """The folder that the shared server serves; a test may add a model of its own to it."""
    folder = tmp_path_factory.mktemp("models")
    put_version("cats", folder / "flowers" / "1")
    put_version("numbers", folder / "numbers" / "1")
    return folder


@pytest.fixture(scope="session")
def server(start_server: Callable[..., RunningServer], models: Path) -> RunningServer:
    """The shared server, ready."""
    running = start_server(
        str(models), "--port=0", "--rest_api_port=0", "--file_system_poll_wait_seconds=0.2"
    )
    running.wait_for_addresses()
    return running


@pytest.fixture(scope="session")
def exported_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `animals`, a classifier, and `ages`, a regressor, as tl exports them."""
    folder = tmp_path_factory.mktemp("exported")
    export(folder / "animals" / "1")
    export(folder / "ages" / "1", "regression")
    return folder


@pytest.fixture(scope="session")
def exported(start_server: Callable[..., RunningServer], exported_models: Path) -> RunningServer:
    """A server of `exported_models`, ready."""
    running = start_server(str(exported_models), "--port=0", "--rest_api_port=0")
    running.wait_for_addresses()
    return running


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def start_tls(
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
) -> Callable[[bool], Any]:
    def start(verify: bool) -> Any:
        folder = tmp_path_factory.mktemp("tls")
        put_version("numbers", folder / "models" / "numbers" / "1")
        put_version("cats", folder / "models" / "cats" / "1")
        file = write(
            folder / "ssl.config", authority.identity("server"), authority.certificate, verify
        )
        server = start_server(
            str(folder / "models"), "--port=0", "--rest_api_port=0", f"--ssl_config_file={file}",
            f"--rest_api_ssl_config_file={file}",
        )  # fmt: skip
        server.wait_for_addresses()
        return server

    return start
