"""Clients that ask without a pause, over REST and gRPC, while something happens to the server."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.client import Client
from serving.errors import ClientError

CATS = {"labels": {"lynx", "puma"}, "outputs": {"labels", "scores"}}
BIRDS = {"labels": {"owl", "wren", "kite"}, "outputs": {"labels", "scores", "ood_score"}}


def kind_of(answer: dict[str, Any]) -> str:
    """Tell which model made an answer; anything that is not wholly of one is an error."""
    seen = {"labels": set(answer["labels"].ravel().tolist()), "outputs": set(answer)}
    assert seen in (CATS, BIRDS), seen
    assert answer["scores"].shape == answer["labels"].shape
    return "cats" if seen == CATS else "birds"


@dataclass
class Load:
    """What clients were answered so far: the models, the errors, and how long it took."""

    kinds: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    wrong: list[BaseException] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return len(self.took_s)

    def wait_for_more(self, count: int = 20) -> None:
        """Wait until so many more requests have been answered."""
        enough = self.answered + count
        wait_for(lambda: self.answered >= enough)


@contextmanager
def asked_without_pause(server: Any, model: str, clients: int = 4) -> Iterator[Load]:
    """Ask a model all the time while the block runs, half of the clients over gRPC."""
    load, done = Load(), threading.Event()
    addresses = [f"{server.rest}/{model}", f"grpc://{server.addresses['gRPC']}/{model}"]

    def ask(address: str) -> None:
        with Client(address, timeout_s=30) as client:
            while not done.is_set():
                began = time.monotonic()
                try:
                    load.kinds[kind_of(client.predict_bytes([b"picture"] * 3))] += 1
                    load.took_s.append(time.monotonic() - began)
                except ClientError as error:
                    load.errors.append(f"{type(error).__name__}: {error}")
                    time.sleep(0.02)
                except AssertionError as error:
                    load.wrong.append(error)

    threads = [
        threading.Thread(target=ask, args=(addresses[place % 2],)) for place in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: load.answered >= clients or bool(load.errors))
        yield load
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert load.wrong == []


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "did not happen in time"
        time.sleep(0.02)


def memory_mb(server: Any) -> float:
    """Give the resident memory of a server's process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(one for one in status.splitlines() if "VmRSS" in one).split()[1]) / 1024


def cpu_s(server: Any) -> float:
    """Give the time that a server's process has computed so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
