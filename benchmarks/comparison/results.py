"""What is measured, what came of it, and the file that keeps it.

A line of JSON a result, written as soon as it is there: a comparison of hours that is cut off goes
on where it stopped.
"""

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .splits import class_of

NEARLY = 1e-6
"""Accuracies closer than this are the same: Keras' metrics are float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is measured.

    Attributes:
        command: of time_to_accuracy.py; each compares what it measured itself, side by side.
        dataset: name of the pictures.
        backbone: pretrained network.
        contender: ``guide``, ``guide_cached``, ``tl`` with its own choice of strategy, or
            ``tl:STRATEGY``.
        budget: seconds that tl is given, ``guide`` for what the guide took, or empty.
        size: side of the pictures in pixels.
        n_folds: parts of the pictures.
        fold: the part that is tested on.
        seed: of the folds and of the training.
        shots: training pictures a class, or 0 for all.
        quick: only to see that everything works; says nothing of speed or accuracy.
    """

    command: str
    dataset: str
    backbone: str
    contender: str
    budget: str = ""
    size: int = 224
    n_folds: int = 5
    fold: int = 0
    seed: int = 0
    shots: int = 0
    quick: bool = False

    @property
    def label(self) -> str:
        """How tables name the contender."""
        if not self.budget:
            return self.contender
        within = "the guide's time" if self.budget == "guide" else f"{self.budget} s"
        return f"{self.contender} within {within}"


@dataclass(frozen=True, slots=True)
class Epoch:
    """A classifier that existed.

    Attributes:
        seconds: since its process was started.
        phase: of the training.
        val_accuracy: of it.
    """

    seconds: float
    phase: str
    val_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a trial.

    Attributes:
        trial: what was measured.
        epochs: in their order.
        wall_s: seconds since the process was started: for a peer to the end of its last epoch, for
            tl to the end of the process, with export, evaluation and MLflow.
        predictions: class by key of each test picture.
        commit: of the checkout.
    """

    trial: Trial
    epochs: tuple[Epoch, ...]
    wall_s: float
    predictions: Mapping[str, str]
    commit: str = ""

    @property
    def final_val_accuracy(self) -> float:
        """Validation accuracy after the last epoch."""
        return self.epochs[-1].val_accuracy

    @property
    def right(self) -> dict[str, bool]:
        """Whether each test picture was given its class."""
        return {key: class_of(key) == found for key, found in self.predictions.items()}

    @property
    def accuracy(self) -> float:
        """Share of the test pictures that are right."""
        return statistics.fmean(self.right.values())

    def seconds_to(self, val_accuracy: float) -> float | None:
        """Return when the first classifier with this validation accuracy existed, or None."""
        return next(
            (one.seconds for one in self.epochs if one.val_accuracy >= val_accuracy - NEARLY), None
        )


def parse_events(lines: Iterable[str]) -> tuple[Epoch, ...]:
    """Read a peer's events.jsonl."""
    return tuple(Epoch(**json.loads(line)) for line in lines)


def parse_journal(lines: Iterable[str], began: float) -> tuple[Epoch, ...]:
    """Read the epochs of a tl run's tracking.jsonl.

    Args:
        lines: of the journal.
        began: `time.time()` just before the process was started.
    """
    end = ".val_accuracy"
    return tuple(
        Epoch(event["time_ms"] / 1000 - began, name.removesuffix(end), value)
        for event in map(json.loads, lines)
        if event["kind"] == "metrics"
        for name, value in event["values"].items()
        if name.endswith(end)
    )


def read_results(file: Path) -> list[Result]:
    """Read what was measured before; nothing where there is no file."""
    return [_from_json(line) for line in _whole_lines(file)]


def append_result(file: Path, result: Result) -> None:
    """Add a result, over the line that a killed process may have left unfinished."""
    whole = "".join(f"{line}\n" for line in _whole_lines(file)).encode()
    with file.open("ab") as out:
        out.truncate(len(whole))
        out.write(json.dumps(dataclasses.asdict(result)).encode() + b"\n")


def _whole_lines(file: Path) -> list[str]:
    return file.read_text().split("\n")[:-1] if file.is_file() else []


def _from_json(line: str) -> Result:
    facts = json.loads(line)
    return Result(
        trial=Trial(**facts["trial"]),
        epochs=tuple(Epoch(**one) for one in facts["epochs"]),
        wall_s=facts["wall_s"],
        predictions=facts["predictions"],
        commit=facts["commit"],
    )
