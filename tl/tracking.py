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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from tl.errors import TrackingError
from tl.written_aside import written_aside

JOURNAL = "tracking.jsonl"
PROGRESS = "tracking.sent.json"
ENVIRONMENT_KEY = "MLFLOW_TRACKING_URI"
JOURNAL_TAG = "tl.run"  # finds the run again whose id a killed sender could not note down
PARAMETER_LENGTH = 6000  # MLflow cuts longer ones; the whole config is an artefact too
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
    """

    def __init__(self, folder: Path, store: Store, experiment: str, run_name: str) -> None:
        self._folder = folder
        self._journal = folder / JOURNAL
        self._lines: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._failure: Exception | None = None
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
            self._write({"kind": "begin", "experiment": experiment, "run_name": run_name})
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
        reason = str(self._failure or f"no answer within {timeout_s:.0f} s").splitlines()[0][:300]
        raise TrackingError(
            f"the experiment store {self._store.uri} did not take the whole run: {reason}. Nothing "
            f"is lost: {self._journal} has it, and `tl track sync {self._folder}` sends it later"
        )

    def _write(self, event: dict[str, Any]) -> None:
        event["time_ms"] = round(time.time() * 1000)
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()
        self._lines.put(True)

    def _send_all(self) -> None:
        try:
            sender = _MlflowSender(self._folder, self._store)
            while self._lines.get():
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
            sender = _MlflowSender(folder, store)
            sender.send_new_lines()
        except Exception as error:
            reason = str(error).splitlines()[0][:300]
            raise TrackingError(
                f"the experiment store {store.uri} did not take the run: {reason}"
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


class _MlflowSender:
    """Send journal lines in order; remember how many were taken, so that none is sent twice."""

    def __init__(self, folder: Path, store: Store) -> None:
        _bound_waiting(os.environ)
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._folder = folder
        self._store = store
        self._client = MlflowClient(store.uri)
        self._progress = folder / PROGRESS
        known = json.loads(self._progress.read_text()) if self._progress.is_file() else {}
        self.run_id: str = known.get("run_id", "")
        self._sent: int = known.get("sent", 0)

    def send_new_lines(self) -> None:
        """Send every whole line that has not been sent."""
        for number, event in enumerate(self._events()):
            if number < self._sent:
                continue
            self._send(event)
            self._sent = number + 1
            with written_aside(self._progress) as aside:
                aside.write_text(json.dumps({"run_id": self.run_id, "sent": self._sent}))

    def _events(self) -> Iterator[dict[str, Any]]:
        text = (self._folder / JOURNAL).read_text(encoding="utf-8")
        for line in text.split("\n")[:-1]:  # what follows the last newline is still being written
            yield json.loads(line)

    def _send(self, event: dict[str, Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        when = event["time_ms"]
        match event["kind"]:
            case "begin":
                self.run_id = self._begin(
                    self._experiment(event["experiment"]), event["run_name"], when
                )
            case "resume":  # `tl track sync` may have ended it as killed
                self._client.update_run(self.run_id, status="RUNNING")
            case "parameters":
                wanted = {key: value[:PARAMETER_LENGTH] for key, value in event["values"].items()}
                known = self._client.get_run(self.run_id).data.params
                parameters = [
                    Param(key, value) for key, value in wanted.items() if key not in known
                ]
                # MLflow lets no parameter change; of a run that began again with others, they do.
                changed = [
                    RunTag(f"tl.resumed.{key}", value)
                    for key, value in wanted.items()
                    if known.get(key, value) != value
                ]
                self._client.log_batch(self.run_id, params=parameters, tags=changed)
            case "tags":
                tags = [RunTag(key, value) for key, value in event["values"].items()]
                self._client.log_batch(self.run_id, tags=tags)
            case "metrics":
                metrics = [
                    Metric(key, value, when, event["step"])
                    for key, value in event["values"].items()
                ]
                self._client.log_batch(self.run_id, metrics=metrics)
            case "artifact":
                if Path(event["path"]).exists():  # a run's folder may have been tidied since
                    self._client.log_artifact(self.run_id, event["path"], event["folder"] or None)
            case "end":
                self._client.set_terminated(self.run_id, event["state"], end_time=when)

    def _begin(self, experiment: str, run_name: str, when: int) -> str:
        """Return the run of this journal, made by a sender that was killed or made now."""
        for run in self._client.search_runs([experiment], f"tags.`{JOURNAL_TAG}` = '{run_name}'"):
            if run.info.start_time == when:
                return str(run.info.run_id)
        tags = {JOURNAL_TAG: run_name}
        made = self._client.create_run(experiment, start_time=when, tags=tags, run_name=run_name)
        return str(made.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self._store.artifacts is not None:
            location = (self._store.artifacts / name).as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))


def _bound_waiting(environ: Any) -> None:
    """Keep an unreachable server from holding the run's end for minutes."""
    environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
