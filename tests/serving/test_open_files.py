"""A server that can open no more files waits, and goes on when it can."""

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .under_load import cpu_s, wait_for

FILES, FLOOD, WATCHED_S = 64, 200, 3.0
BODY = {"instances": [2.0]}


@pytest.fixture(scope="module")
def poor(
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    folder = tmp_path_factory.mktemp("poor")
    put_version("numbers", folder / "numbers" / "1")
    server = start_server(str(folder), "--port=0", "--rest_api_port=0")
    server.wait_for_addresses()
    # Only now, as REST would take fewer connections otherwise and never come to the end.
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    return server


@pytest.mark.parametrize("port", ["REST", pytest.param("gRPC", marks=pytest.mark.slow)])
def test_flood_of_connections_is_outlived_without_a_spin_and_a_flood_of_lines(
    port: str, poor: Any
) -> None:
    host, number = poor.addresses[port].removeprefix("http://").split(":")
    kept = open_files(poor)
    with ExitStack() as stack:
        for _ in range(FLOOD):
            stack.enter_context(socket.create_connection((host, int(number)), timeout=10))
        wait_for(lambda: open_files(poor) == FILES, 10)
        computed_s, said = cpu_s(poor), len(poor.log.read_text())
        time.sleep(WATCHED_S)
        assert open_files(poor) == FILES
        assert cpu_s(poor) - computed_s < WATCHED_S / 4
        assert len(poor.log.read_text()) - said < 2000
    wait_for(lambda: open_files(poor) <= kept + 2, 20)

    assert poor.call("/v1/models/numbers:predict", BODY) == (200, {"predictions": [3.0]})
    with poor.channel as channel:
        grpc_is_there(channel)
    assert "Traceback" not in poor.log.read_text()


def test_server_that_had_no_file_left_follows_its_folder_and_ends_well(
    poor: Any, put_version: Callable[[str, Path], None], tmp_path: Path
) -> None:
    (status,) = poor.call("/v1/models/numbers")[1]["model_version_status"]
    assert status["state"] == "AVAILABLE"
    assert poor.end() == 0


def test_limit_is_raised_to_what_the_process_may_have() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300));"
        "from serving.open_files import raise_limit; print(raise_limit())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout == "300\n"


def open_files(server: Any) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def grpc_is_there(channel: Any) -> None:
    import grpc

    grpc.channel_ready_future(channel).result(20)
