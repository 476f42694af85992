"""Tell an experiment store about a run, and lose nothing when it cannot be reached.

Every fact is first a line of ``tracking.jsonl`` in the run's folder. A thread of its own sends
the lines to MLflow: importing it and making a store take 8 s, which pass beside the training.
What could not be sent stays in the file, and `sync_journal` sends it later, from where it
stopped. The run holds a lock on the file, so one process at a time sends, and a run that was killed
is known from one that goes on.
"""

import fcntl
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from tl.errors import TrackingError
from tl.mlflow_sender import JOURNAL, MlflowSender, failure_words

ENVIRONMENT_KEY = "MLFLOW_TRACKING_URI"
_log = logging.getLogger(__name__)

State = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker(Protocol):
    """Where a run's facts go."""

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Store what decided the run."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Store what describes the run."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Store figures at a step."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Store a file, below a folder of the run's artefacts."""

    def dataset(self, facts: Mapping[str, Any]) -> None:
        """Store what the run learned from: name, digest, source, context and profile."""

    def image(self, path: Path, key: str, step: int = 0) -> None:
        """Store a picture that people compare between runs, under a key that all runs share."""

    def model(self, path: Path, name: str, step: int) -> None:
        """Store an exported version, and register it under its model's name."""

    def finish(self, state: State) -> None:
        """End the run."""


@dataclass(frozen=True, slots=True)
class Store:
    """Which experiment store.

    Attributes:
        uri: MLflow's tracking URI.
        artifacts: where a local store keeps files, or None to leave it to the server.
    """

    uri: str
    artifacts: Path | None


def default_store(environ: Mapping[str, str] = os.environ, here: Path | None = None) -> Store:
    """Return ``MLFLOW_TRACKING_URI`` where it is set, else SQLite in the working directory."""
    if environ.get(ENVIRONMENT_KEY):
        return Store(environ[ENVIRONMENT_KEY], None)
    folder = (here or Path.cwd()).resolve()
    return Store(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts")


class JournalTracker:
    """Write the journal, and send it to a store as it grows.

    A journal that is there already is gone on with: the run was killed and goes on.

    Args:
        folder: of the run.
        store: where to send to.
        experiment: name of the MLflow experiment.
        run_name: shown in its list.
        folds: digest and name of the cross-validation that the run is a fold of, or None.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        experiment: str,
        run_name: str,
        folds: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._journal = folder / JOURNAL
        self._lines: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._writing = threading.Lock()  # what measures the machine writes from its own thread
        self._store = store
        self._file = self._journal.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends
        except OSError:
            self._file.close()
            raise
        self._known = _cut_off_half_a_line(self._journal)
        if self._known:
            self._write({"kind": "resume"})
        else:
            begin: dict[str, Any] = {"kind": "begin", "experiment": experiment}
            begin |= {"run_name": run_name, **({"folds": dict(folds)} if folds else {})}
            self._write(begin)
        self._thread = threading.Thread(target=self._send_all, name="tracking", daemon=True)
        self._thread.start()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Store what decided the run."""
        self._write({"kind": "parameters", "values": {k: str(v) for k, v in values.items()}})

    def tags(self, values: Mapping[str, str]) -> None:
        """Store what describes the run."""
        self._write({"kind": "tags", "values": dict(values)})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Store figures at a step; those that a run told before it was killed are passed over."""
        if (step, *sorted(values)) not in self._known:
            self._write({"kind": "metrics", "values": dict(values), "step": step})

    def artifact(self, path: Path, folder: str = "") -> None:
        """Store a file, below a folder of the run's artefacts."""
        self._write({"kind": "artifact", "path": str(path.resolve()), "folder": folder})

    def dataset(self, facts: Mapping[str, Any]) -> None:
        """Store what the run learned from."""
        self._write({"kind": "dataset", **facts})

    def image(self, path: Path, key: str, step: int = 0) -> None:
        """Store a picture that people compare between runs."""
        self._write({"kind": "image", "path": str(path.resolve()), "key": key, "step": step})

    def model(self, path: Path, name: str, step: int) -> None:
        """Store an exported version, and register it."""
        self._write({"kind": "model", "path": str(path.resolve()), "name": name, "step": step})

    def finish(self, state: State, timeout_s: float = 60.0) -> None:
        """End the run and wait for the store.

        Raises:
            TrackingError: the store did not take everything; the journal has it.
        """
        self._write({"kind": "end", "state": state})
        self._lines.put(False)
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._file.close()
        if self._failure is None and not self._thread.is_alive():
            return
        reason = f"no answer within {timeout_s:.0f} s"
        if self._failure is not None:
            reason = failure_words(self._failure)
        raise TrackingError(
            f"the experiment store {self._store.uri} did not take the whole run: {reason}. Nothing "
            f"is lost: {self._journal} has it, and `tl track sync {self._folder}` sends it later"
        )

    def _write(self, event: dict[str, Any]) -> None:
        event["time_ms"] = round(time.time() * 1000)
        line = json.dumps(event) + "\n"
        with self._writing:
            if self._file.closed:  # a figure of the machine that came too late
                return
            self._file.write(line)
            self._file.flush()
        self._lines.put(True)

    def _send_all(self) -> None:
        try:
            sender = MlflowSender(self._folder, self._store.uri, self._store.artifacts)
            goes_on = True
            while goes_on:
                goes_on = self._lines.get()
                while goes_on and not self._lines.empty():  # lines that came meanwhile, together
                    goes_on = self._lines.get()
                sender.send_new_lines()
        except Exception as error:  # noqa: BLE001 - whatever the store does, training goes on
            self._failure = error
            _log.debug("tracking stopped", exc_info=True)


def sync_journal(folder: Path, store: Store) -> str:
    """Send what a run's journal has and the store has not, and return MLflow's run id.

    A run whose process died before it could say so ends as KILLED, at its last line.

    Raises:
        TrackingError: no journal, the run still goes on, or the store cannot be reached.
    """
    if not (folder / JOURNAL).is_file():
        raise TrackingError(f"{folder} has no {JOURNAL}; give the folder of a run")
    with (folder / JOURNAL).open("r+b") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrackingError(
                f"{folder} is still running (or another `tl track sync` sends it): wait for its end"
            ) from None
        _end_if_killed(journal)
        try:
            sender = MlflowSender(folder, store.uri, store.artifacts)
            sender.send_new_lines()
        except Exception as error:
            raise TrackingError(
                f"the experiment store {store.uri} did not take the run: {failure_words(error)}"
            ) from error
    return sender.run_id


def _cut_off_half_a_line(journal: Path) -> set[tuple[Any, ...]]:
    """Return what kinds of event, and which metrics at which step, a journal holds."""
    text = journal.read_bytes()
    length = text.rfind(b"\n") + 1
    if length < len(text):
        os.truncate(journal, length)
    events = [json.loads(line) for line in text[:length].splitlines()]
    return {
        (event["step"], *sorted(event["values"]))
        if event["kind"] == "metrics"
        else (event["kind"],)
        for event in events
    }


def _end_if_killed(journal: IO[bytes]) -> None:
    """Write the end of a run whose process died, over the line that it was cut off in."""
    text = journal.read()
    length = text.rfind(b"\n") + 1
    if length == 0:  # not even the first line is whole
        return
    last = json.loads(text[:length].splitlines()[-1])
    if last["kind"] != "end":
        end = {"kind": "end", "state": "KILLED", "time_ms": last["time_ms"]}
        journal.seek(length)
        journal.truncate()
        journal.write(json.dumps(end).encode() + b"\n")
        journal.flush()
