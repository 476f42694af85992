"""Runs that the experiment store does not know whole: unsent, or with versions not told of.

A run that was killed between export and logging has published a model that neither its record nor
its journal names; so has `tl export`.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.exported import Exported
from serving.startup_noise import without_startup_noise
from tl.errors import ConfigError
from tl.export.versions import list_versions
from tl.journal import JOURNAL, Event, Journal, is_free, last_event
from tl.manifest import read_manifest
from tl.mlflow_sender import PROGRESS
from tl.run_folder import RUNS, RunRecord, read_record, write_record


def unsent_runs() -> list[Path]:
    """Return the runs here that do not go on and that the store lacks something of."""
    found = []
    for journal in sorted(RUNS.glob(f"*/{JOURNAL}")):
        folder = journal.parent
        try:
            lines = journal.read_bytes().count(b"\n")
            sent = json.loads((folder / PROGRESS).read_bytes())["sent"]
        except (OSError, ValueError, KeyError):
            lines, sent = 1, 0
        last = last_event(folder)
        is_whole = sent >= lines and last.get("kind") == "end"
        lacks = not is_whole or (last.get("state") != "FINISHED" and _untold_versions(folder))
        if lacks and lines and is_free(folder):
            found.append(folder)
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
    versions = _untold_versions(folder)
    if not versions:
        return []
    # With TensorFlow, which those who only send what is there do not wait for.
    with without_startup_noise():
        from pipelines.report import CARD, REPORT
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
    for name in (REPORT, CARD, LOG):
        if (folder / name).is_file():
            journal.artifact(folder / name)
    # First: a journal that has ended is not looked at again.
    write_record(folder, record)
    journal.finish("KILLED" if state == "stopped" else "FINISHED")
    return versions


def _untold_versions(folder: Path) -> list[Path]:
    """Return the versions of a run that its journal does not name, ascending."""
    try:
        record = read_record(folder)
    except ConfigError:
        return []
    model = (Path(record.config.output) / record.name).resolve()
    mine = [
        model / str(number)
        for number in list_versions(model)
        if read_manifest(model / str(number)).get("id") == record.id
    ]
    if not mine:
        return []
    lines = (folder / JOURNAL).read_bytes().split(b"\n")[:-1]
    told = [json.loads(line) for line in lines if b'"kind": "model"' in line]
    named = {Path(event["path"]) for event in told}
    untold = [version for version in mine if version not in named]
    # A full disk may have taken the journal and not the record.
    return untold or ([] if record.outcome.get("saved_model") else mine[-1:])


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
