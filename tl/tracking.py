"""Tell an experiment store about a run, and lose nothing when it cannot be reached.

Every fact is first a line of the run's journal. A thread of its own sends the lines to MLflow:
importing it and making a store take 8 s, which pass beside the training. What could not be sent
stays in the file, and `sync_journal` sends it later, from where it stopped. The run holds the
journal, so one process at a time sends.
"""

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tl.errors import TrackingError
from tl.journal import JOURNAL, Event, Journal, State
from tl.mlflow_sender import MlflowSender, failure_words

ENVIRONMENT_KEY = "MLFLOW_TRACKING_URI"
_log = logging.getLogger(__name__)

BATCH_S = 5.0
"""Between two times that lines are sent, together: each sending is a transaction of the store."""
RETRY_S = 30.0
"""Before a store that failed is tried again."""


class Tracker(Protocol):
    """Where a run's facts go."""

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Store what decided the run."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Store what describes the run."""

    def metrics(self, values: Mapping[str, float], step: int, *, anew: bool = False) -> None:
        """Store figures at a step; ``anew`` where they may take the place of earlier ones."""

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


def store_of(run: Path) -> Store:
    """Return the store of a run that may lie in another folder: beside its ``runs/``."""
    return default_store(here=run.resolve().parent.parent)


class JournalTracker(Journal):
    """Write the journal, and send it to a store as it grows.

    A journal that is there already is gone on with: the run was killed and goes on. A store that
    fails is tried again from time to time, so that a server may be restarted meanwhile.

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
        self._news, self._ended = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self._folder, self._store = folder, store
        super().__init__(folder)
        if self.events:
            self.write({"kind": "resume"})
        else:
            begin: dict[str, Any] = {"kind": "begin", "experiment": experiment}
            begin |= {"run_name": run_name, **({"folds": dict(folds)} if folds else {})}
            self.write(begin)
        if self.fault is not None:
            self.close()
            raise self.fault
        self._thread = threading.Thread(target=self._send_all, name="tracking", daemon=True)
        self._thread.start()

    def write(self, event: Event) -> None:
        """Write a line, and have it sent."""
        super().write(event)
        self._news.set()

    def finish(self, state: State, timeout_s: float = 60.0) -> None:
        """End the run and wait for the store.

        Raises:
            TrackingError: the store did not take everything; the journal has it.
        """
        self.write({"kind": "end", "state": state})
        self._ended.set()
        self._news.set()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self.close()
        if self.fault is not None:
            raise TrackingError(
                f"the end of {self.path} could not be written ({self.fault.strerror}), so the "
                f"experiment store lacks it; once there is room, `tl track sync {self._folder}` "
                "sends what there is, and the model"
            )
        if self._failure is None and not self._thread.is_alive():
            return
        reason = f"no answer within {timeout_s:.0f} s"
        if self._failure is not None:
            reason = failure_words(self._failure)
        raise TrackingError(
            f"the experiment store {self._store.uri} did not take the whole run: {reason}. Nothing "
            f"is lost: {self.path} has it, and `tl track sync {self._folder}` sends it later"
        )

    def _send_all(self) -> None:
        sender, has_ended = None, False
        while not has_ended:
            self._news.wait()
            self._news.clear()
            has_ended = self._ended.is_set()
            try:
                sender = sender or MlflowSender(
                    self._folder, self._store.uri, self._store.artifacts
                )
                sender.send_new_lines()
                self._failure, pause_s = None, BATCH_S
            except Exception as error:  # noqa: BLE001 - whatever the store does, training goes on
                sender, self._failure, pause_s = None, error, RETRY_S
                _log.debug("tracking failed", exc_info=True)
                # A run that ended meanwhile does not wait for the same failure once more.
                has_ended = has_ended or self._ended.is_set()
            if not has_ended:
                self._ended.wait(pause_s)


def sync_journal(folder: Path, store: Store) -> str:
    """Send what a run's journal has and the store has not, and return MLflow's run id.

    A run whose process died before it could say so ends as KILLED, at its last line.

    Raises:
        TrackingError: no journal, the run still goes on, or the store cannot be reached.
    """
    if not (folder / JOURNAL).is_file():
        raise TrackingError(f"{folder} has no {JOURNAL}; give the folder of a run")
    try:
        journal = Journal(folder)
    except BlockingIOError:
        raise TrackingError(
            f"{folder} is still running (or another `tl track sync` sends it): wait for its end"
        ) from None
    except OSError as error:
        raise TrackingError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        journal.end_if_killed()
        sender = MlflowSender(folder, store.uri, store.artifacts)
        sender.send_new_lines()
    except Exception as error:
        raise TrackingError(
            f"the experiment store {store.uri} did not take the run: {failure_words(error)}"
        ) from error
    finally:
        journal.close()
    return sender.run_id
