"""Roll out a version under load: no request fails, and no answer is of two versions."""

import itertools
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from serving.client import Client

CATS = {"labels": {"lynx", "puma"}, "outputs": {"labels", "scores"}}
BIRDS = {"labels": {"owl", "wren", "kite"}, "outputs": {"labels", "scores", "ood_score"}}


def version_of(answer: dict[str, Any]) -> int:
    """Tell which version made an answer; anything that is not wholly of one is an error."""
    seen = {"labels": set(answer["labels"].ravel().tolist()), "outputs": set(answer)}
    assert seen in (CATS, BIRDS)
    assert answer["scores"].shape == answer["labels"].shape
    return 1 if seen == CATS else 2


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "did not happen in time"
        time.sleep(0.02)


def test_hundreds_of_requests_through_a_swap_and_back(
    server: Any, models: Path, put_version: Callable[[str, Path], None]
) -> None:
    put_version("cats", models / "swapped" / "1")
    wait_for(lambda: server.call("/v1/models/swapped")[0] == 200)
    addresses = [f"{server.rest}/swapped", f"grpc://{server.addresses['gRPC']}/swapped"]
    clients = [Client(address, timeout_s=60) for address in addresses]
    wait_for(lambda: clients[0].status() == {1: "AVAILABLE"})
    done = threading.Event()
    answered: list[list[int]] = [[] for _ in range(4)]

    def ask_until_done(client: Client, versions: list[int]) -> None:
        while not done.is_set():
            versions.append(version_of(client.predict_bytes([b"picture"] * 3)))

    with ThreadPoolExecutor(4) as pool:
        asking = [
            pool.submit(ask_until_done, *pair) for pair in zip(clients * 2, answered, strict=True)
        ]
        wait_for(lambda: all(answered))
        put_version("birds", models / "swapped" / "2")
        wait_for(lambda: clients[0].status() == {2: "AVAILABLE", 1: "END"})
        shutil.rmtree(models / "swapped" / "2")
        wait_for(lambda: clients[0].status() == {2: "END", 1: "AVAILABLE"})
        enough = sum(map(len, answered)) + 100
        wait_for(lambda: sum(map(len, answered)) >= max(200, enough))
        done.set()
        for future in asking:
            future.result()

    for versions in answered:
        # Each client sees the first version, then only the second, then only the first again.
        assert [version for version, _ in itertools.groupby(versions)] == [1, 2, 1]
    for client in clients:
        client.close()
