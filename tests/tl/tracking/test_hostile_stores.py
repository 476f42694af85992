"""Stores that are slow, broken, of another version, read-only, full, or go away for a while."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.tl.tracking.small_runs import (
    content,
    free_port,
    offline,
    runs_of,
    wait_for,
    write_run,
    write_version,
    write_whole_run,
)
from tl import tracking
from tl.errors import TrackingError
from tl.journal import JOURNAL
from tl.mlflow_sender import TIMEOUT_KEY, MlflowSender
from tl.tracking import JournalTracker, Store, sync_journal


@contextlib.contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Address of a server that answers every request like this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kept_and_sent_later(folder: Path, store: Store, client: Any, experiment: str) -> None:
    run_id = sync_journal(folder, store)
    assert runs_of(client, experiment) == [run_id]
    seen = content(client, run_id)
    assert seen["status"] == "FINISHED"
    assert [step for step, _, _ in seen["loss"]] == [10, 20]
    assert seen["artefacts"] == ["config.json", "deep"]


def test_server_that_answers_500_is_a_warning_at_the_end(
    folder: Path, store: Store, client: Any
) -> None:
    def broken(request: BaseHTTPRequestHandler) -> None:
        request.send_error(500)

    with answering(broken) as uri:
        tracker = JournalTracker(folder, Store(uri, None), "broken", "run")
        write_run(tracker, folder)
        with pytest.raises(
            TrackingError, match="error 500.*Nothing is lost.*tl track sync"
        ) as caught:
            tracker.finish("FINISHED")
    assert "\n" not in str(caught.value)
    kept_and_sent_later(folder, store, client, "broken")


def test_server_that_answers_in_30_seconds_does_not_hold_up_the_end(
    folder: Path, store: Store, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here in 30 s against the 2 s that are waited; a run waits for 40 s, its end 60 s in all."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    let_go = threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        let_go.wait(30)

    with answering(slow) as uri:
        began = time.monotonic()
        tracker = JournalTracker(folder, Store(uri, None), "slow", "run")
        write_run(tracker, folder)
        with pytest.raises(TrackingError, match="did not answer in time.*Nothing is lost"):
            tracker.finish("FINISHED")
        assert time.monotonic() - began < 10
        let_go.set()
    kept_and_sent_later(folder, store, client, "slow")


def test_waiting_for_a_store_that_never_answers_ends(folder: Path) -> None:
    let_go = threading.Event()

    def silent(request: BaseHTTPRequestHandler) -> None:
        let_go.wait(30)

    with answering(silent) as uri:
        tracker = JournalTracker(folder, Store(uri, None), "never", "run")
        began = time.monotonic()
        with pytest.raises(TrackingError, match="no answer within 1 s"):
            tracker.finish("FINISHED", timeout_s=1.0)
        assert time.monotonic() - began < 3
        let_go.set()
        tracker._thread.join(20)
        tracker.close()


def test_server_that_is_away_for_a_while_gets_everything_from_the_run_itself(
    folder: Path, client: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempts fail as they do while a server restarts; nobody calls tl track sync."""
    monkeypatch.setattr(tracking, "RETRY_S", 0.2)
    monkeypatch.setattr(tracking, "BATCH_S", 0.05)
    failures = [ConnectionError("away")] * 3
    real = MlflowSender.send_new_lines

    def send(self: Any) -> None:
        if failures and self._sent >= 3:
            raise failures.pop()
        real(self)

    monkeypatch.setattr(MlflowSender, "send_new_lines", send)
    tracker = JournalTracker(folder, store, "away", "run")
    write_run(tracker, folder)
    ends = time.monotonic() + 20
    while failures and time.monotonic() < ends:
        tracker.tags({"tl.beat": "1"})
        time.sleep(0.05)
    tracker.finish("FINISHED")
    (run_id,) = runs_of(client, "away")
    assert content(client, run_id)["status"] == "FINISHED"
    assert [step for step, _, _ in content(client, run_id)["loss"]] == [10, 20]


def start_mlflow(port: int, folder: Path) -> Any:
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1",
         "--artifacts-destination", str(folder / "artefacts")],
        cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(f"http://127.0.0.1:{port}/health", process)
    return process


def kill(process: Any) -> None:
    os.killpg(process.pid, signal.SIGKILL)  # with the workers that it has started
    process.wait()


@pytest.mark.slow
def test_server_that_restarts_in_mid_run_has_everything_once(
    folder: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(tracking, "RETRY_S", 0.5)
    monkeypatch.setattr(tracking, "BATCH_S", 0.1)
    home = tmp_path / "server"
    home.mkdir()
    shutil.copyfile(store.uri.removeprefix("sqlite:///"), home / "mlflow.db")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    process = start_mlflow(port, home)
    try:
        tracker = JournalTracker(folder, Store(uri, None), "restart", "run")
        for step in range(200):
            tracker.metrics({"head.loss": 1 / (step + 1)}, step=step)
            if step == 50:
                time.sleep(2.0)
                kill(process)
            if step == 150:
                process = start_mlflow(port, home)
            time.sleep(0.01)
        write_whole_run(tracker, folder, "restart")
        tracker.finish("FINISHED")

        client = MlflowClient(uri)
        (run_id,) = runs_of(client, "restart")
        seen = content(client, run_id)
        assert seen["status"] == "FINISHED"
        steps = [step for step, _, _ in seen["loss"]]
        assert sorted(steps) == sorted([*range(200), 10, 20])
        assert (seen["models"], len(seen["images"])) == (1, 2)
        (version,) = client.search_model_versions("name = 'restart'")
        assert version.run_id == run_id
    finally:
        kill(process)


@contextlib.contextmanager
def slow_server(home: Path, delay_s: float) -> Iterator[tuple[str, str]]:
    """Addresses of an MLflow server: that of one in front of it that takes its time, its own."""
    port = free_port()
    real = f"http://127.0.0.1:{port}"

    def forward(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        time.sleep(delay_s)
        asked = urllib.request.Request(
            real + request.path, body or None, method=request.command,
            headers={"Content-Type": request.headers.get("Content-Type", "text/plain")},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        with contextlib.suppress(OSError):  # who asked may have gone
            request.send_response(status)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)

    process = start_mlflow(port, home)
    try:
        with answering(forward) as slow:
            yield slow, real
    finally:
        kill(process)


RUN = """
import sys
from pathlib import Path
from tests.tl.tracking.small_runs import write_run
from tl.errors import TrackingError
from tl.tracking import JournalTracker, Store

folder = Path(sys.argv[1])
tracker = JournalTracker(folder, Store(sys.argv[2], None), "slow-server", "run")
write_run(tracker, folder)
try:
    tracker.finish("FINISHED", timeout_s=float(sys.argv[3]))
except TrackingError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.parametrize(
    "delay_s", [pytest.param(1.5, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.soak)]
)
def test_server_that_takes_half_a_minute_for_each_answer_has_everything_once_in_the_end(
    folder: Path, store: Store, tmp_path: Path, delay_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends amid its calls, as they do not count for an end that waits 60 s."""
    from mlflow import MlflowClient

    from tl.cli.main import main

    home = tmp_path / "server"
    home.mkdir()
    shutil.copyfile(store.uri.removeprefix("sqlite:///"), home / "mlflow.db")
    (folder / "run.json").write_text("{}")  # what makes a folder a run
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    monkeypatch.delenv(TIMEOUT_KEY, raising=False)
    with slow_server(home, delay_s) as (slow, real):
        ended = subprocess.run(
            [sys.executable, "-c", RUN, str(folder), slow, str(2 * delay_s)],
            cwd=Path(__file__).parents[3], stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        assert "told: the experiment store" in ended.stderr
        assert "Nothing is lost" in ended.stderr

        monkeypatch.setenv("MLFLOW_TRACKING_URI", slow)
        with pytest.raises(SystemExit) as done:
            main(["track", "sync", str(folder)])
        assert done.value.code == 0

        client = MlflowClient(real)
        (run_id,) = runs_of(client, "slow-server")
        seen = content(client, run_id)
        assert seen["status"] == "FINISHED"
        assert [step for step, _, _ in seen["loss"]] == [10, 20]
        assert seen["artefacts"] == ["config.json", "deep"]


def test_database_of_another_mlflow_is_told_of_with_what_to_do(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    copy = tmp_path / "old.db"
    shutil.copyfile(store.uri.removeprefix("sqlite:///"), copy)
    with contextlib.closing(sqlite3.connect(copy)) as database:
        database.execute("update alembic_version set version_num = 'bd07f7e963c5'")
        database.commit()
    journal = offline(folder, "old")
    write_run(journal, folder)
    journal.finish("FINISHED")

    with pytest.raises(TrackingError, match="schema of another MLflow.*backup.*mlflow db upgrade"):
        sync_journal(folder, Store(f"sqlite:///{copy}", tmp_path / "artefacts"))
    assert len((folder / JOURNAL).read_text().splitlines()) == 8


def test_read_only_store_loses_nothing(
    folder: Path, store: Store, client: Any, mount_disk: Callable[[str], Path]
) -> None:
    place = mount_disk("8m")
    shutil.copyfile(store.uri.removeprefix("sqlite:///"), place / "mlflow.db")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    tracker = JournalTracker(
        folder, Store(f"sqlite:///{place / 'mlflow.db'}", place / "artefacts"), "fixed", "run"
    )
    write_run(tracker, folder)
    with pytest.raises(TrackingError, match="(readonly|read-only).*Nothing is lost") as caught:
        tracker.finish("FINISHED")
    assert "\n" not in str(caught.value)
    kept_and_sent_later(folder, store, client, "fixed")


def test_disk_that_fills_while_artefacts_are_written_is_gone_on_with_once_there_is_room(
    folder: Path, store: Store, client: Any, mount_disk: Callable[[str], Path]
) -> None:
    place = mount_disk("8m")
    shutil.copyfile(store.uri.removeprefix("sqlite:///"), place / "mlflow.db")
    full = Store(f"sqlite:///{place / 'mlflow.db'}", place / "artefacts")
    (folder / "report.html").write_bytes(b"x" * 9_000_000)
    tracker = JournalTracker(folder, full, "full", "run")
    write_whole_run(tracker, folder, "full")
    tracker.artifact(folder / "report.html")
    with pytest.raises(TrackingError, match="No space left on device.*Nothing is lost"):
        tracker.finish("FINISHED")

    subprocess.run(["mount", "-o", "remount,size=40m", str(place)], check=True)
    run_id = sync_journal(folder, full)

    from tl.mlflow_sender import mlflow_client

    there = mlflow_client(full.uri)
    assert runs_of(there, "full") == [run_id]
    assert content(there, run_id)["models"] == 1
    kept = there.download_artifacts(run_id, "report.html")
    assert Path(kept).stat().st_size == 9_000_000


def test_runs_that_export_at_once_have_a_version_each_here_and_in_the_registry(
    tmp_path: Path, store: Store, client: Any
) -> None:
    from tl.export.versions import publish_version

    model = tmp_path / "models" / "rush"

    def write(aside: Path) -> None:
        write_version(aside / "x")
        for path in (aside / "x").iterdir():
            path.rename(aside / path.name)
        (aside / "x").rmdir()

    def export(number: int) -> Path:
        folder = tmp_path / f"run-{number}"
        journal = offline(folder, "rush", f"run-{number}")
        version = publish_version(model, write)
        journal.model(version, "rush", 1)
        journal.finish("FINISHED")
        sync_journal(folder, store)
        return version

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(export, range(4)))

    assert sorted(path.name for path in versions) == ["1", "2", "3", "4"]
    found = client.search_model_versions("name = 'rush'")
    assert sorted(int(one.version) for one in found) == [1, 2, 3, 4]
    assert {one.tags["tl.saved_model"] for one in found} == {str(path) for path in versions}
    assert len({one.run_id for one in found}) == 4
