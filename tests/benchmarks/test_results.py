import json
from pathlib import Path
from typing import Any

from benchmarks.comparison.results import (
    Epoch,
    Result,
    Trial,
    append_result,
    parse_events,
    parse_journal,
    read_results,
)


def result(seed: int = 0) -> Result:
    trial = Trial(
        command="time", dataset="flowers", backbone="tl_small", contender="tl", seed=seed
    )  # fmt: skip
    return Result(
        trial=trial,
        epochs=(Epoch(10.5, "head", 0.75), Epoch(11.0, "head", 0.8), Epoch(30.0, "all", 0.9)),
        wall_s=44.0,
        predictions={"rose/1.jpg": "rose", "rose/2.jpg": "daisy"},
        commit="abc",
    )


def test_peers_events_are_epochs_in_their_order() -> None:
    lines = [
        '{"seconds": 5.5, "phase": "head", "val_accuracy": 0.5}',
        '{"seconds": 9.0, "phase": "all", "val_accuracy": 0.75}',
    ]

    assert parse_events(lines) == (Epoch(5.5, "head", 0.5), Epoch(9.0, "all", 0.75))


def test_journal_of_tl_gives_validation_accuracies_since_the_process_began() -> None:
    events = [
        {"kind": "begin", "time_ms": 1000},
        {"kind": "metrics", "step": 1, "time_ms": 13_500,
         "values": {"head.val_accuracy": 0.8, "head.val_loss": 0.5}},
        {"kind": "metrics", "step": 2, "time_ms": 20_000,
         "values": {"last_stage.val_accuracy": 0.9}},
        {"kind": "metrics", "step": 2, "time_ms": 25_000, "values": {"test.top_1_accuracy": 0.7}},
    ]  # fmt: skip

    epochs = parse_journal(map(json.dumps, events), began=1.0)

    assert epochs == (Epoch(12.5, "head", 0.8), Epoch(19.0, "last_stage", 0.9))


def test_journal_of_a_real_run_is_understood(trained: Any) -> None:
    journal = (trained.run / "tracking.jsonl").read_text().splitlines()

    epochs = parse_journal(journal, began=0.0)

    assert epochs[0].phase == "probe"
    assert [one.seconds for one in epochs] == sorted(one.seconds for one in epochs)
    assert all(0 <= one.val_accuracy <= 1 for one in epochs)
    assert len(epochs) == len(trained.result.records)


def test_time_to_an_accuracy_forgives_what_float32_loses() -> None:
    assert result().seconds_to(0.8000000119) == 11.0
    assert result().seconds_to(0.81) == 30.0
    assert result().seconds_to(0.95) is None


def test_accuracy_compares_predictions_with_the_class_in_the_key() -> None:
    assert result().accuracy == 0.5


def test_results_come_back_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    append_result(file, result(0))
    append_result(file, result(1))

    assert read_results(file) == [result(0), result(1)]
    assert {one.trial for one in read_results(file)} == {result(0).trial, result(1).trial}


def test_line_of_a_killed_process_is_passed_over_and_written_over(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    append_result(file, result(0))
    with file.open("a") as out:
        out.write('{"trial": {"command": "ti')
    assert read_results(file) == [result(0)]

    append_result(file, result(1))

    assert read_results(file) == [result(0), result(1)]


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert read_results(tmp_path / "results.jsonl") == []
