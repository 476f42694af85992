"""`tl experiments` opens MLflow on the store that the runs here are logged to."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tl.tracking.small_runs import NOWHERE, free_port, wait_for

Run = Callable[..., Any]


@pytest.mark.slow
def test_interface_shows_the_runs_of_this_folder(
    trained: Any, tmp_path: Path, tl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(trained.home / "mlflow.db", tmp_path / "mlflow.db")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tl.cli", "experiments", "--port", str(port)],
        cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(f"http://127.0.0.1:{port}  shows the runs in sqlite:///{tmp_path}")
        wait_for(f"http://127.0.0.1:{port}/health", process)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
            json.dumps({"max_results": 10}).encode(), {"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=60) as answer:
            names = {one["name"] for one in json.load(answer)["experiments"]}
        assert "colours" in names
        # Who logs to a server that others run is led there, too.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        here, view = tl("experiments").out.splitlines()
        assert here == f"http://127.0.0.1:{port}  is the MLflow server that runs are logged to"
        assert view.startswith(f"http://127.0.0.1:{port}/#/experiments/")
        assert view.endswith("  colours, the best run first")
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with the workers that it has started
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_folder_without_runs_a_taken_port_and_a_server_are_said(
    tl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no runs here" in tl("experiments").error
    (tmp_path / "mlflow.db").write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "Pass another --port" in tl("experiments", "--port", str(port)).error
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = tl("experiments")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{NOWHERE}  is the MLflow server that runs are logged to",
        "warning: its experiments cannot be listed: nothing answers at that address",
    ]
