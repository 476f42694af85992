"""The journal of a run, ``tracking.jsonl``: every fact that an experiment store is to know.

One process at a time holds it, by a lock that ends with the process; so a run that was killed is
known from one that goes on.
"""

import fcntl
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

JOURNAL = "tracking.jsonl"
Event = dict[str, Any]
State = Literal["FINISHED", "FAILED", "KILLED"]


class Journal:
    """Write a run's facts down, one a line, behind what is there.

    A disk without room does not stop a run: what it did not take is written with a later line.

    Args:
        folder: of the run.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.fault: OSError | None = None
        self._unwritten = b""
        self._writing = threading.Lock()  # what measures the machine writes from its own thread
        self._file = self.path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends
        except OSError:
            self._file.close()
            raise
        text = self.path.read_bytes()
        length = text.rfind(b"\n") + 1
        if length < len(text):  # half a line that a process was killed in
            self._file.truncate(length)
        self.events: tuple[Event, ...] = tuple(map(json.loads, text[:length].splitlines()))
        self._known = {_metrics_key(one) for one in self.events if one["kind"] == "metrics"}

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Store what decided the run."""
        self.write({"kind": "parameters", "values": {k: str(v) for k, v in values.items()}})

    def tags(self, values: Mapping[str, str]) -> None:
        """Store what describes the run."""
        self.write({"kind": "tags", "values": dict(values)})

    def metrics(self, values: Mapping[str, float], step: int, *, anew: bool = False) -> None:
        """Store figures at a step.

        Those that a run told before it was killed are passed over, but for those of a further
        export: they are ``anew``, and the newest count.
        """
        event = {"kind": "metrics", "values": dict(values), "step": step}
        if anew or _metrics_key(event) not in self._known:
            self.write(event)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Store a file, below a folder of the run's artefacts."""
        self.write({"kind": "artifact", "path": str(path.resolve()), "folder": folder})

    def dataset(self, facts: Mapping[str, Any]) -> None:
        """Store what the run learned from."""
        self.write({"kind": "dataset", **facts})

    def image(self, path: Path, key: str, step: int = 0) -> None:
        """Store a picture that people compare between runs."""
        self.write({"kind": "image", "path": str(path.resolve()), "key": key, "step": step})

    def model(self, path: Path, name: str, step: int) -> None:
        """Store an exported version, and register it."""
        self.write({"kind": "model", "path": str(path.resolve()), "name": name, "step": step})

    def finish(self, state: State) -> None:
        """End the run, and let others have the journal."""
        self.write({"kind": "end", "state": state})
        self.close()

    def end_if_killed(self) -> None:
        """Write the end of a run whose process died, at the time of its last line.

        One that had ended before, and was gone on with for an export, ends as it did then.
        """
        if self.events and self.events[-1]["kind"] != "end":
            when = self.events[-1]["time_ms"]
            ends = [one["state"] for one in self.events if one["kind"] == "end"]
            state = "FINISHED" if "FINISHED" in ends else "KILLED"
            self.write({"kind": "end", "state": state, "time_ms": when})

    def close(self) -> None:
        """Let others have the journal."""
        with self._writing:
            self._file.close()

    def write(self, event: Event) -> None:
        """Write a line; after the end, as from a thread that was late, nothing."""
        event.setdefault("time_ms", round(time.time() * 1000))
        with self._writing:
            if self._file.closed:
                return
            self._unwritten += json.dumps(event).encode() + b"\n"
            try:
                while self._unwritten:  # a disk with little room takes part of it
                    taken = self._file.write(self._unwritten)
                    self._unwritten = self._unwritten[taken:]
                self.fault = None
            except OSError as error:
                self.fault = error


def read_events(folder: Path, place: int = 0) -> Iterator[tuple[Event, int]]:
    """Return the events of a run's journal, without one that is being written.

    Args:
        folder: of the run.
        place: of the first one's first byte: journals of long runs are large.

    Returns:
        Each with the place of the one behind it.
    """
    with (folder / JOURNAL).open("rb") as file:
        file.seek(place)
        for line in file:
            if line.endswith(b"\n"):
                place += len(line)
                yield json.loads(line), place


def last_event(folder: Path) -> Event:
    """Return the last whole line of a run's journal; empty where there is none to be read."""
    try:
        found: Event = json.loads((folder / JOURNAL).read_bytes().split(b"\n")[-2])
    except (OSError, ValueError, IndexError):
        return {}
    return found


def is_free(folder: Path) -> bool:
    """Tell whether no process holds a run's journal."""
    with (folder / JOURNAL).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _metrics_key(event: Event) -> tuple[Any, ...]:
    return (event["step"], *sorted(event["values"]))
