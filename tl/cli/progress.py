"""How training looks: bars with ETA and throughput on a terminal, plain lines elsewhere."""

import sys
from typing import Any

from tl.training.progress import (
    EpochRecord,
    Listener,
    Silent,
    epoch_line,
    head_line,
    is_head,
    throughput_unit,
)


class PlainProgress(Silent):
    """One line an epoch on stderr, and one a head, for log files and pipes."""

    def __init__(self) -> None:
        self._epochs = 0
        self._head: list[EpochRecord] = []

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        """Remember how many epochs the phase may have."""
        self._epochs = epochs

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        """Print nothing a step."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Print the epoch; of a head, whose path has many points, its end will say the best."""
        if is_head(record):
            self._head.append(record)
        else:
            self._print(epoch_line(record, self._epochs))

    def phase_ended(self, phase: str) -> None:
        """Print what came of a head."""
        if self._head:
            self._print(head_line(self._head))
        self._head = []

    def _print(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class BarProgress(PlainProgress):
    """A bar a phase on a terminal, with the lines above it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._epochs = self._steps = 0

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        """Start the bar of a phase."""
        self._epochs, self._steps = epochs, steps_per_epoch
        self._progress.start()
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(phase, total=epochs * steps_per_epoch, speed="")

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        """Advance the bar."""
        task = next(task for task in self._progress.tasks if task.id == self._task)
        speed = f"{task.speed * images:,.0f} {throughput_unit(phase)}/s" if task.speed else ""
        self._progress.update(
            self._task, advance=1, speed=speed, description=f"{phase} {epoch}/{self._epochs}"
        )
        if epoch == self._epochs and step == self._steps:
            self._progress.stop()

    def _print(self, line: str) -> None:
        self._progress.console.print(line, highlight=False)

    def close(self) -> None:
        """Take the bar away, however the run ended."""
        self._progress.stop()


def progress_listener() -> Listener:
    """Return bars where stderr is a terminal, else lines."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()
