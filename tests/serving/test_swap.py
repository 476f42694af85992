"""Roll out a version under load: no request fails, and no answer is of two versions."""

import itertools
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.client import Client

from .under_load import asked_without_pause, kind_of, memory_mb, wait_for

KEPT = 3
SETTLED_AFTER = 10  # swaps: what is prepared once is not growth
MOST_GROWTH_MB = 0.5  # a swap


def test_hundreds_of_requests_through_a_swap_and_back(
    server: Any, models: Path, put_version: Callable[[str, Path], None]
) -> None:
    put_version("cats", models / "swapped" / "1")
    wait_for(lambda: server.call("/v1/models/swapped")[0] == 200)
    addresses = [f"{server.rest}/swapped", f"grpc://{server.addresses['gRPC']}/swapped"]
    clients = [Client(address, timeout_s=60) for address in addresses]
    wait_for(lambda: clients[0].status() == {1: "AVAILABLE"})
    done = threading.Event()
    answered: list[list[str]] = [[] for _ in range(4)]

    def ask_until_done(client: Client, kinds: list[str]) -> None:
        while not done.is_set():
            kinds.append(kind_of(client.predict_bytes([b"picture"] * 3)))

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

    for kinds in answered:
        # Each client sees the first version, then only the second, then only the first again.
        assert [kind for kind, _ in itertools.groupby(kinds)] == ["cats", "birds", "cats"]
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "swaps", [pytest.param(10, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.soak)]
)
def test_version_every_second_fails_no_request_and_frees_the_last(
    swaps: int,
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path: Path,
) -> None:
    model = tmp_path / "swapped"
    put_version("birds", model / "1")
    server = start_server(
        str(model), "--port=0", "--rest_api_port=0", "--file_system_poll_wait_seconds=0.1"
    )
    server.wait_for_addresses()
    memory = []
    with asked_without_pause(server, "swapped") as load:
        for version in range(2, swaps + 2):
            next_s = time.monotonic() + 1
            put_version(["birds", "cats"][version % 2 == 0], model / str(version))
            if version % KEPT == 0:  # what nobody serves any more is taken away now and then
                for old in range(version - 2 * KEPT, version - KEPT):
                    shutil.rmtree(model / str(old), ignore_errors=True)
            wait_for_only(server, version)
            time.sleep(max(0.0, next_s - time.monotonic()))
            memory.append(memory_mb(server))
    growth_mb = (memory[-1] - memory[min(SETTLED_AFTER, swaps // 2)]) / swaps

    print(f"{load.answered} answered, {growth_mb:.2f} MB a swap: {memory}")  # noqa: T201
    assert load.errors == []
    assert load.kinds["cats"] > swaps
    assert load.kinds["birds"] > swaps
    states = server.call("/v1/models/swapped")[1]["model_version_status"]
    assert {one["state"] for one in states[1:]} == {"END"}
    if swaps > SETTLED_AFTER:
        assert growth_mb < MOST_GROWTH_MB
    assert server.end() == 0


def wait_for_only(server: Any, version: int) -> None:
    def only() -> bool:
        states = server.call("/v1/models/swapped")[1]["model_version_status"]
        return [one["version"] for one in states if one["state"] == "AVAILABLE"] == [str(version)]

    wait_for(only)
