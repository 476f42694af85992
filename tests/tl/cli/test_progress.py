"""Progress as lines in a log, and as bars on a terminal."""

import pytest

from tl.cli.progress import BarProgress, PlainProgress, progress_listener
from tl.training.progress import EpochRecord

RECORD = EpochRecord(
    phase="head", epoch=2, step=8, seconds=1.5, images_per_second=1234.5,
    metrics={"loss": 0.25, "accuracy": 0.875, "val_loss": 0.5, "val_accuracy": 0.75}, best=True,
)  # fmt: skip


def test_epoch_is_one_plain_line_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listener = progress_listener()
    assert isinstance(listener, PlainProgress)

    listener.phase_started("head", 10, 4)
    listener.step_done("head", 2, 1, 32)
    listener.epoch_done(RECORD)

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "head  2/10  loss 0.2500  accuracy 0.8750  val_loss 0.5000  val_accuracy 0.7500  "
        "1,234 cached views/s  best\n"
    )


def test_bars_survive_phases_that_stop_early(capsys: pytest.CaptureFixture[str]) -> None:
    bars = BarProgress()
    for phase in ("features", "head", "fine-tune last"):
        bars.phase_started(phase, 3, 2)
        for epoch in (1, 2):
            for step in (1, 2):
                bars.step_done(phase, epoch, step, 8)
            bars.epoch_done(RECORD)
    bars.close()

    assert capsys.readouterr().err.count("val_loss 0.5000") == 6
