"""A journal is whole lines, one process's at a time, whatever the disk does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tl.journal import JOURNAL, Journal, is_free, last_event, read_events


def test_journal_is_gone_on_with_behind_its_last_whole_line(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.metrics({"loss": 0.5}, step=1)
    first.close()
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"kind": "metr')

    second = Journal(tmp_path)
    assert [event["kind"] for event in second.events] == ["metrics"]
    second.metrics({"loss": 0.25}, step=1)  # told before it was killed
    second.metrics({"loss": 0.25}, step=2)
    second.finish("FINISHED")

    events = [event for event, _ in read_events(tmp_path)]
    assert [event.get("step") for event in events] == [1, 2, None]
    assert last_event(tmp_path)["state"] == "FINISHED"


def test_journal_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert not is_free(tmp_path)
    with pytest.raises(BlockingIOError):
        Journal(tmp_path)
    journal.close()
    assert is_free(tmp_path)
    journal.metrics({"late": 1.0}, step=1)  # of a thread that did not hear of the end
    assert (tmp_path / JOURNAL).read_bytes() == b""


def test_events_are_read_from_a_place_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for step in (1, 2, 3):
        journal.metrics({"loss": 1.0}, step=step)
    places = [place for _, place in read_events(tmp_path)]
    assert [event["step"] for event, _ in read_events(tmp_path, places[0])] == [2, 3]
    assert list(read_events(tmp_path, places[2])) == []
    journal.close()


def test_killed_run_ends_at_its_last_line_and_an_ended_one_only_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write({"kind": "begin", "time_ms": 5})
    journal.close()
    for _ in range(2):
        journal = Journal(tmp_path)
        journal.end_if_killed()
        journal.close()
    assert [event for event, _ in read_events(tmp_path)] == [
        {"kind": "begin", "time_ms": 5}, {"kind": "end", "state": "KILLED", "time_ms": 5}
    ]  # fmt: skip


def test_empty_journal_has_nothing(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"")
    assert last_event(tmp_path) == {}
    assert list(read_events(tmp_path)) == []


def test_full_disk_stops_nobody_and_loses_no_line(mount_disk: Callable[[str], Path]) -> None:
    folder = mount_disk("64k")
    journal = Journal(folder)
    (folder / "filler").write_bytes(b"x" * 57_344)
    for step in range(200):
        journal.metrics({"loss": 1 / (step + 1)}, step=step)
    fault = journal.fault
    assert fault is not None
    assert len((folder / JOURNAL).read_bytes()) <= 8192

    (folder / "filler").unlink()
    journal.finish("FINISHED")

    assert journal.fault is None
    steps = [event.get("step") for event, _ in read_events(folder)]
    assert steps == [*range(200), None]
