"""Where a run stands between two updates, as a checkpoint keeps it."""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from tl.strategy import Phase
from tl.training.checkpoints import Checkpoint, write_checkpoint
from tl.training.fit import PhaseState
from tl.training.progress import EpochRecord
from tl.training.trials import Settled
from tl.training.variables import Arrays, restore_training_arrays, training_arrays

_log = logging.getLogger(__name__)
LARGEST_SHARE = 0.05
"""Of the time, that writing checkpoints may take."""


@dataclass(slots=True, kw_only=True, eq=False)
class Standing:
    """Everything that a run remembers, beside the variables of model and optimizer.

    Attributes:
        phases: of the run, as they were settled.
        phase: index of the one under way.
        attempt: 0, or 1 after it diverged and its rate was lowered.
        micro_batches: parts that a batch is computed in.
        settled: how updates are computed; None before the first phase.
        records: of the head, and of the phases and attempts before this one.
        state: of the phase under way.
    """

    phases: Sequence[Phase]
    phase: int = 0
    attempt: int = 0
    micro_batches: int = 1
    settled: Settled | None = None
    records: list[EpochRecord] = field(default_factory=list)
    state: PhaseState

    def facts(self) -> dict[str, Any]:
        """Return what JSON can keep."""
        state = {one.name: getattr(self.state, one.name) for one in dataclasses.fields(PhaseState)}
        del state["best_weights"]
        state["records"] = [dataclasses.asdict(one) for one in self.state.records]
        return {
            "phases": [dataclasses.asdict(one) for one in self.phases],
            "phase": self.phase,
            "attempt": self.attempt,
            "micro_batches": self.micro_batches,
            "settled": None if self.settled is None else dataclasses.asdict(self.settled),
            "records": [dataclasses.asdict(one) for one in self.records],
            "state": state,
        }

    def arrays(self, model: keras.Model) -> Arrays:
        """Return the best weights, and the variables of a model and its optimizer."""
        best = {f"best/{place}": one for place, one in enumerate(self.state.best_weights)}
        return training_arrays(model) | best


def standing_of(checkpoint: Checkpoint) -> Standing:
    """Return where a run stood."""
    facts = checkpoint.facts
    state = {**facts["state"], "records": _records(facts["state"]["records"])}
    names = [name for name in checkpoint.arrays if name.startswith("best/")]
    best = [checkpoint.arrays[f"best/{place}"] for place in range(len(names))]
    return Standing(
        phases=[Phase(**one) for one in facts["phases"]],
        phase=facts["phase"],
        attempt=facts["attempt"],
        micro_batches=facts["micro_batches"],
        settled=None if facts["settled"] is None else Settled(**facts["settled"]),
        records=_records(facts["records"]),
        state=PhaseState(**state, best_weights=best),
    )


def restore_variables(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Give a compiled model and its optimizer the numbers that they had.

    Raises:
        TrainingError: they belong to another network.
    """
    variables = {
        name: value for name, value in checkpoint.arrays.items() if not name.startswith("best/")
    }
    restore_training_arrays(model, variables)


def _records(stored: Sequence[dict[str, Any]]) -> list[EpochRecord]:
    return [EpochRecord(**one) for one in stored]


class CheckpointWriter:
    """Write where a run stands, as often as asked and never for a large share of the time.

    Args:
        folder: for the checkpoints.
        interval_s: seconds between two; 0 writes after every update.
        facts: more that each of them says, beside where the run stands.
    """

    def __init__(
        self, folder: Path, interval_s: float, facts: Mapping[str, Any] | None = None
    ) -> None:
        self._folder, self._interval = folder, interval_s
        self._facts = dict(facts or {})
        self._next = 0.0

    def keep(self, standing: Standing, model: keras.Model, *, now: bool = False) -> bool:
        """Write one if the last is old enough, or now; training goes on where that fails.

        Returns:
            Whether nothing failed; the log says what did.
        """
        try:
            (self.write if now else self.write_if_due)(standing, model)
        except OSError as error:
            _log.warning(
                "no checkpoint could be written (%s): training goes on, but could not be resumed "
                "from here",
                error.strerror or error,
            )
            return False
        return True

    def write_if_due(self, standing: Standing, model: keras.Model) -> None:
        """Write one if the last is old enough.

        Raises:
            OSError: it cannot be written; the one before is untouched.
        """
        if time.monotonic() >= self._next:
            self.write(standing, model)

    def write(self, standing: Standing, model: keras.Model) -> None:
        """Write one now.

        Raises:
            OSError: it cannot be written; the one before is untouched.
        """
        began = time.monotonic()
        try:
            facts = {**self._facts, **standing.facts()}
            write_checkpoint(self._folder, facts, standing.arrays(model))
        finally:
            ended = time.monotonic()
            pause = max(self._interval, (ended - began) / LARGEST_SHARE)
            self._next = ended + (pause if self._interval else 0.0)
