import json
from pathlib import Path

from tl.report.curves import read_curves


def test_curves_are_by_phase_and_only_of_epochs(tmp_path: Path) -> None:
    events = [
        {"kind": "begin"},
        {"kind": "metrics", "step": 5, "values": {"head.loss": 0.9, "head.val_loss": 1.0}},
        {"kind": "metrics", "step": 9, "values": {"head.loss": 0.5, "head.penalty": 3}},
        {"kind": "metrics", "step": 9, "values": {"fine-tune_last.updates.loss": 0.5}},
        {"kind": "metrics", "step": 12, "values": {"fine-tune_last.loss": 0.4}},
        {"kind": "metrics", "step": 0, "values": {"test.top_1_accuracy": 0.5, "test.mae": 1}},
    ]
    journal = tmp_path / "tracking.jsonl"
    lines = [json.dumps(one) for one in events]
    journal.write_text("\n".join([*lines, "3", '{"kind": "metr']))

    assert read_curves(journal) == {
        "head": {"loss": [(5.0, 0.9), (9.0, 0.5)], "val_loss": [(5.0, 1.0)]},
        "fine-tune last": {"loss": [(12.0, 0.4)]},
    }


def test_run_without_a_journal_has_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "tracking.jsonl") == {}
