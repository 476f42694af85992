"""Measure an exported model on labelled pictures, and keep what it said of each."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.exported import Unreadable
from tl.data.decode import servable_bytes
from tl.data.example import Example, stack_targets
from tl.errors import DatasetError
from tl.evaluation.measures import MEASURES, Question
from tl.evaluation.score_interval import group_numbers
from tl.evaluation.served import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What a model said of pictures, and what that is worth.

    Attributes:
        examples: those that it answered.
        places: int64 (n,), of them among the pictures that were given.
        answers: float32 (n, n_outputs), probabilities or values.
        extras: what else it said, by output: ``abstain`` (n,), ``ood_score`` (n,).
        metrics: as `tl.evaluation.measures` gives them; empty where no picture can be read.
        unreadable: key and reason of the pictures that are left out.
    """

    examples: Sequence[Example] = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)
    answers: NDArray[np.float32] = field(repr=False)
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    metrics: dict[str, Any]
    unreadable: Unreadable = ()

    @property
    def truth(self) -> NDArray[Any]:
        """Class indices (n,), or float32 (n, width)."""
        return stack_targets([one.target for one in self.examples])


def measure(served: ServedModel, examples: Sequence[Example], question: Question) -> Measured:
    """Measure a SavedModel on encoded pictures.

    Those that cannot be read are left out: they may have been damaged or deleted since the run
    began.
    """
    kept: list[int] = []
    unreadable: list[tuple[str, str]] = []

    def files() -> Iterator[bytes]:
        for place, example in enumerate(examples):
            try:
                data = servable_bytes(example.read())
            except DatasetError as error:
                unreadable.append((example.key, str(error)))
                continue
            kept.append(place)
            yield data

    said = served.judge(files())
    width = said["answers"].shape[1]
    answers = np.full((len(examples), width), np.nan, np.float32)
    answers[kept] = said.pop("answers")
    rows = dict(zip(kept, range(len(kept)), strict=True))
    measured = measured_answers(answers, examples, question, unreadable)
    taken = [rows[place] for place in measured.places.tolist()]
    extras = {name: values[taken] for name, values in said.items()}
    return dataclasses.replace(measured, extras=extras)


def measured_answers(
    answers: NDArray[np.float32],
    examples: Sequence[Example],
    question: Question,
    unreadable: Sequence[tuple[str, str]] = (),
) -> Measured:
    """Measure the rows that are numbers; the pictures of others are unreadable."""
    sound = np.flatnonzero(np.isfinite(answers).all(axis=1))
    known = dict(unreadable)
    for place in sorted(set(range(len(examples))) - set(sound.tolist())):
        known.setdefault(examples[place].key, "the exported model cannot decode it")
    kept = [examples[place] for place in sound.tolist()]
    metrics: dict[str, Any] = {}
    if kept:
        truth = stack_targets([one.target for one in kept])
        groups = group_numbers([one.group for one in kept])
        metrics = MEASURES[question.problem].metrics(answers[sound], truth, question, groups)
        if groups is not None:
            metrics["n_groups"] = int(groups.max()) + 1
    return Measured(
        examples=kept,
        places=sound,
        answers=answers[sound],
        metrics=metrics,
        unreadable=tuple(known.items()),
    )
