"""Real weights where they lie beside the checkout, and a server that misbehaves on demand."""

import io
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from tl.zoo.backbones import Backbone
from tl.zoo.published import PublishedFile


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of files that are too large, or not ours, to be in the repository."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "weights").is_dir():
            return parent / "shared"
    pytest.skip("no shared/weights beside the checkout: real ImageNet weights are not here")


def hdf5(values: int) -> bytes:
    """Return a file of HDF5 with so many values in it, as Keras' are."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["kernel"] = np.arange(values, dtype=np.float32)
    return content.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server sends: a body, and the length it announces for it; None for no length."""

    body: bytes
    announced_bytes: int | str | None
    status: int = 200


class WeightsServer:
    """Serves one answer on a loopback port."""

    def __init__(self, answer: Answer) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(answer.status)
                if answer.announced_bytes is not None:
                    self.send_header("Content-Length", str(answer.announced_bytes))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/weights.h5"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator["ServeWeights"]:
    starter = ServeWeights()
    yield starter
    starter.close()


class ServeWeights:
    """Starts servers and stops them at the end of the test."""

    def __init__(self) -> None:
        self._servers: list[WeightsServer] = []

    def __call__(
        self,
        body: bytes,
        *,
        announced_bytes: int | str | None = "all of them",
        status: int = 200,
    ) -> str:
        announced = len(body) if announced_bytes == "all of them" else announced_bytes
        server = WeightsServer(Answer(body=body, announced_bytes=announced, status=status))
        self._servers.append(server)
        return server.url

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/weights.h5"


@pytest.fixture
def closed_url() -> str:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}/weights.h5"


def published_at(backbone: Backbone, url: str) -> Backbone:
    """Return the backbone as if Keras published its weights at this address."""
    assert backbone.weights_files is not None
    no_top, with_top = backbone.weights_files
    moved: tuple[PublishedFile, PublishedFile] = (replace(no_top, url=url), with_top)
    return replace(backbone, weights_files=moved)
