"""What training reports while it runs: values for whoever shows, stores or stops it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

SCORES = ("accuracy", "micro_f1", "mae")
"""Names of the figures beside the loss, one a problem."""
PROBE = "probe"
"""Name of the phase that solves the head on features of plain views: the first usable model."""
STAGE_PROBE = "probe of stages"
"""And of the one that does so on the stages that know most."""
HEAD = "head"
"""Name of the phase that solves it on those of augmented views too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One finished epoch, or one point of the head's path of penalties.

    Attributes:
        phase: name of the phase.
        epoch: counted from 1 within the phase.
        step: optimizer updates since the run began, over all phases; iterations of the solver
            count as such.
        seconds: wall time, validation included.
        images_per_second: training pictures, or cached views of them, a second; validation not
            counted.
        metrics: as Keras names them: loss and one of `SCORES`, with val_ before them on
            validation; and the head's penalty.
        best: whether validation was the best of the phase so far.
    """

    phase: str
    epoch: int
    step: int
    seconds: float
    images_per_second: float
    metrics: dict[str, float]
    best: bool


def kept_epoch(records: Sequence[EpochRecord]) -> EpochRecord | None:
    """Return the epoch whose weights a run ends with: the last one that was the best so far."""
    return next((record for record in reversed(records) if record.best), None)


def throughput_unit(phase: str) -> str:
    """Return what a phase counts: a head learns from cached features and sees no picture."""
    return "pictures" if phase.startswith(("fine-tune", "pretrain")) else "cached views"


_SHOWN = tuple(f"{side}{name}" for side in ("", "val_") for name in ("loss", *SCORES))


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """Return one line for people about a finished epoch of at most ``epochs``."""
    figures = "  ".join(
        f"{name} {record.metrics[name]:.4f}" for name in _SHOWN if name in record.metrics
    )
    return (
        f"{record.phase} {record.epoch:>{len(str(epochs))}}/{epochs}  {figures}  "
        f"{record.images_per_second:,.0f} {throughput_unit(record.phase)}/s"
        f"{'  best' if record.best else ''}"
    )


def head_line(records: Sequence[EpochRecord]) -> str:
    """Return one line for people about a head's path of penalties: its best point."""
    best = kept_epoch(records) or min(
        records, key=lambda one: one.metrics.get("val_loss", one.metrics["loss"])
    )
    figures = [f"{name} {best.metrics[name]:.4f}" for name in _SHOWN if name in best.metrics]
    seconds = sum(record.seconds for record in records)
    return (
        f"{best.phase}  {'  '.join(figures)}  penalty {best.metrics['penalty']:.3g}, "
        f"of {len(records)} tried in {seconds:.1f} s{'  best' if best.best else ''}"
    )


def is_head(record: EpochRecord) -> bool:
    """Tell whether a record is a point of a head's path and no epoch of pictures."""
    return "penalty" in record.metrics


class Listener(Protocol):
    """Told of progress; the command line draws it, a log file writes it."""

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        """Begin a phase of at most ``epochs`` epochs."""

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        """Count one optimizer update of ``images`` pictures; ``step`` is within the epoch."""

    def update_done(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        """Receive the metrics of one update of fine-tuning; ``step`` is as in `EpochRecord`."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Receive a finished epoch."""

    def phase_ended(self, phase: str) -> None:
        """End a phase, whether it had all its epochs or stopped early."""


class Silent:
    """A listener that does nothing."""

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        """Ignore it."""

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        """Ignore it."""

    def update_done(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        """Ignore it."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Ignore it."""

    def phase_ended(self, phase: str) -> None:
        """Ignore it."""
