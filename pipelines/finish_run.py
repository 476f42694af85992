"""Runs whose end the experiment store does not know: unsent, or killed after their export."""

import dataclasses
import fcntl
import json
import time
from pathlib import Path
from typing import Any

from pipelines.exported import Exported
from pipelines.run_facts import outcome_of
from tl.errors import ConfigError
from tl.evaluation.measures import headline
from tl.export.versions import list_versions
from tl.mlflow_sender import JOURNAL, PROGRESS
from tl.run_folder import RUNS, read_manifest, read_record, write_record


def unsent_runs() -> list[Path]:
    """Return the runs here that do not go on and whose journal has lines that were not sent."""
    found = []
    for journal in sorted(RUNS.glob(f"*/{JOURNAL}")):
        try:
            lines = journal.read_bytes().count(b"\n")
            sent = json.loads((journal.parent / PROGRESS).read_bytes())["sent"]
        except (OSError, ValueError, KeyError):
            lines, sent = 1, 0
        has_ended = _last_kind(journal) == "end"
        if (sent < lines or not has_ended) and _is_free(journal):
            found.append(journal.parent)
    return found


def finish_killed(folder: Path) -> Path | None:
    """Write into a killed run's record and journal that it had published its model.

    Returns:
        The version's folder; None where the run ended otherwise, goes on, or published nothing.
    """
    journal = folder / JOURNAL
    if not journal.is_file() or not _is_free(journal) or _last_kind(journal) == "end":
        return None
    try:
        record = read_record(folder)
    except ConfigError:
        return None
    if record.outcome.get("saved_model"):
        return None
    version = _version_of(Path(record.config.output) / record.name, record.id)
    if version is None:
        return None
    facts = read_manifest(version)
    exported = Exported(
        version, facts.get("measured_on", "nothing"), facts.get("metrics", {}),
        problem=record.problem,
    )  # fmt: skip
    now = round(time.time() * 1000)
    events: list[dict[str, Any]] = [
        {"kind": "tags", "values": {"tl.saved_model": str(version)}},
    ]
    if exported.metrics:
        name = f"{exported.measured_on}.{headline(record.problem, exported.metrics)[0]}"
        events[0]["values"]["tl.headline"] = name
        figures = {
            f"{exported.measured_on}.{key}": value
            for key, value in exported.metrics.items()
            if isinstance(value, int | float)
        }
        events.append({"kind": "metrics", "values": figures, "step": 0})
    events.append({"kind": "model", "path": str(version), "name": record.name, "step": 0})
    events.append({"kind": "end", "state": "FINISHED"})
    with journal.open("r+b") as file:
        text = file.read()
        file.truncate(text.rfind(b"\n") + 1)  # half a line that it was killed in
        file.seek(0, 2)
        file.writelines(json.dumps({**one, "time_ms": now}).encode() + b"\n" for one in events)
    write_record(
        folder, dataclasses.replace(record, state="finished", outcome=outcome_of(exported))
    )
    return version


def _version_of(model: Path, run: str) -> Path | None:
    for number in reversed(list_versions(model)):
        if read_manifest(model / str(number)).get("id") == run:
            return model / str(number)
    return None


def _last_kind(journal: Path) -> str:
    try:
        lines = journal.read_bytes().split(b"\n")[:-1]
        return str(json.loads(lines[-1])["kind"])
    except (OSError, ValueError, KeyError, IndexError):
        return ""


def _is_free(journal: Path) -> bool:
    """Tell whether no process holds the journal."""
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
