"""Progress as lines in a log, and as bars on a terminal."""

from dataclasses import replace

import pytest

from tl.cli.progress import BarProgress, PlainProgress, progress_listener
from tl.training.progress import EpochRecord

RECORD = EpochRecord(
    phase="fine-tune all", epoch=2, step=8, seconds=1.5, images_per_second=1234.5,
    metrics={"loss": 0.25, "accuracy": 0.875, "val_loss": 0.5, "val_accuracy": 0.75}, best=True,
)  # fmt: skip


def test_epoch_is_one_plain_line_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listener = progress_listener()
    assert isinstance(listener, PlainProgress)

    listener.phase_started("fine-tune all", 10, 4)
    listener.step_done("fine-tune all", 2, 1, 32)
    listener.epoch_done(RECORD)

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "fine-tune all  2/10  loss 0.2500  accuracy 0.8750  val_loss 0.5000  "
        "val_accuracy 0.7500  1,234 pictures/s  best\n"
    )


@pytest.mark.parametrize("kind", [PlainProgress, BarProgress])
def test_head_is_one_line_with_its_best_point(
    kind: type[PlainProgress], capsys: pytest.CaptureFixture[str]
) -> None:
    listener = kind()
    listener.phase_started("probe", 23, 1)
    for epoch, (penalty, loss) in enumerate([(1.0, 0.75), (0.1, 0.5), (0.01, 0.625)], start=1):
        metrics = {"penalty": penalty, "loss": 0.25, "val_loss": loss}
        listener.epoch_done(
            replace(RECORD, phase="probe", epoch=epoch, metrics=metrics, best=epoch < 3)
        )
    assert "val_loss" not in capsys.readouterr().err

    listener.phase_ended("probe")
    listener.phase_ended("fine-tune all")
    getattr(listener, "close", lambda: None)()

    (line,) = [one for one in capsys.readouterr().err.splitlines() if "val_loss" in one]
    assert line.strip() == (
        "probe  loss 0.2500  val_loss 0.5000  penalty 0.1, of 3 tried in 4.5 s  best"
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
