"""Runs that the experiment store does not know whole: unsent, or with versions not told of.

A run that was killed between export and logging has published a model that neither its record nor
its journal names; so has `tl export`.
"""

import contextlib
import dataclasses
import datetime
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.exported import Exported
from serving.startup_noise import without_startup_noise
from tl.errors import ConfigError, TlError
from tl.export.versions import list_versions
from tl.journal import JOURNAL, Event, Journal, is_free, last_event
from tl.manifest import read_manifest
from tl.mlflow_sender import PROGRESS
from tl.run_folder import RUNS, RunRecord, read_record, write_record
from tl.run_list import list_runs, value_of

_log = logging.getLogger(__name__)


def unsent_runs() -> list[Path]:
    """Return the runs here that do not go on and that the store lacks something of."""
    found, published = [], _published()
    for journal in sorted(RUNS.glob(f"*/{JOURNAL}")):
        folder = journal.parent
        try:
            lines = journal.read_bytes().count(b"\n")
            sent = json.loads((folder / PROGRESS).read_bytes())["sent"]
        except (OSError, ValueError, KeyError):
            lines, sent = 1, 0
        is_whole = sent >= lines and last_event(folder).get("kind") == "end"
        lacks = not is_whole or _untold_versions(folder, published.get(folder.name, []))
        if lacks and lines and is_free(folder):
            found.append(folder)
    return found


def _published() -> dict[str, list[Path]]:
    """Return the versions of every run here, ascending."""
    found: dict[str, list[Path]] = {}
    for output, name in {(str(value_of(row, "output")), row.model) for row in list_runs(RUNS)}:
        model = Path(output).resolve() / name
        for number in list_versions(model):
            run = str(read_manifest(model / str(number)).get("id"))
            found.setdefault(run, []).append(model / str(number))
    return found


@contextlib.contextmanager
def looked_for_if_killed(folder: Path) -> Iterator[None]:
    """Note that a version of a run may come: a kill before it is told of leaves the note.

    A run that goes on is left to itself.
    """
    has_ended = last_event(folder).get("kind") == "end" and is_free(folder)
    if has_ended:
        with contextlib.closing(Journal(folder)) as journal:
            journal.write({"kind": "resume"})
    try:
        yield
    except BaseException:
        if has_ended:
            with contextlib.closing(Journal(folder)) as journal:
                journal.end_if_killed()
        raise


def tell_of_exports(folder: Path) -> list[Path]:
    """Write into a run's record and journal which versions it has published, with their figures.

    A run that was killed or failed after its export counts as finished; one that was stopped stays
    stopped. Nothing is done to a run that goes on.

    Args:
        folder: of the run.

    Returns:
        The versions that the journal did not name.
    """
    if not last_event(folder) or not is_free(folder):
        return []
    versions = _untold_versions(folder, _versions_of(folder))
    if not versions:
        return []
    # With TensorFlow, which those who only send what is there do not wait for.
    with without_startup_noise():
        from pipelines.reopen import reopen_data
        from pipelines.report import CARD, REPORT, write_report
        from pipelines.run_facts import LOG, outcome_of, report_export

    record = read_record(folder)
    journal = Journal(folder)
    state = "finished" if record.state in ("running", "failed") else record.state
    if journal.events[-1]["kind"] == "end":
        journal.write({"kind": "resume"})
    step = _last_step(journal.events)
    for version in versions:
        exported = _exported(version, record)
        outcome = outcome_of(folder, exported)
        record = dataclasses.replace(record, state=state, outcome=outcome)
        report_export(journal, folder, exported, record, step)
    # Before the end: a journal that has ended is not looked at again.
    write_record(folder, record)
    if not (folder / REPORT).is_file():
        try:
            write_report(folder, reopen_data(folder))
        except (TlError, OSError) as error:  # the pictures may have been moved
            _log.warning("no report of %s: %s; tl report %s", folder.name, error, folder.name)
    for name in (REPORT, CARD, LOG):
        if (folder / name).is_file():
            journal.artifact(folder / name)
    journal.finish("KILLED" if state == "stopped" else "FINISHED")
    return versions


def _versions_of(folder: Path) -> list[Path]:
    """Return the versions of a run, ascending."""
    try:
        record = read_record(folder)
    except ConfigError:
        return []
    model = (Path(record.config.output) / record.name).resolve()
    versions = [model / str(number) for number in list_versions(model)]
    return [version for version in versions if read_manifest(version).get("id") == record.id]


def _untold_versions(folder: Path, versions: list[Path]) -> list[Path]:
    """Return those of a run's versions that its journal does not name."""
    if not versions:
        return []
    lines = (folder / JOURNAL).read_bytes().split(b"\n")[:-1]
    told = [json.loads(line) for line in lines if b'"kind": "model"' in line]
    if untold := [version for version in versions if not _is_told(version, told)]:
        return untold
    # A full disk may have taken the journal and not the record.
    try:
        has_outcome = bool(read_record(folder).outcome.get("saved_model"))
    except ConfigError:
        has_outcome = True
    return [] if has_outcome else versions[-1:]


def _is_told(version: Path, told: list[Event]) -> bool:
    """Tell whether a version was told of after it was written, wherever the folder lay then.

    The number of one that was deleted may have been given again.
    """
    since = 0.0  # of a version that does not say when it was written
    with contextlib.suppress(ValueError, TypeError, KeyError):
        written = datetime.datetime.fromisoformat(read_manifest(version)["exported"])
        since = written.timestamp() - 1
    return any(
        Path(event["path"]).parts[-2:] == version.parts[-2:] and event["time_ms"] / 1000 >= since
        for event in told
    )


def _exported(version: Path, record: RunRecord) -> Exported:
    facts = read_manifest(version)
    metrics: dict[str, Any] = facts.get("metrics", {})
    measured_on = facts.get("measured_on", "nothing")
    return Exported(version, measured_on, metrics, problem=record.problem)


def _last_step(events: tuple[Event, ...]) -> int:
    steps = [
        event["step"]
        for event in events
        if event["kind"] == "metrics"
        and not any(key.startswith("system/") for key in event["values"])
    ]
    return max(steps, default=0)
