"""What a head learns from: features of plain and augmented training pictures, and of validation."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tl.augment.flip_harm import flip_harm, probe_predictions
from tl.data.example import Dataset, Example
from tl.errors import ConfigError, TrainingError
from tl.features import (
    BATCH,
    FeatureExtractor,
    FeatureTable,
    View,
    augmented_view,
    joined,
    mirrored_view,
    plain_view,
)
from tl.training.task import Task
from tl.transforms import mirrors

MOST_PLAIN_BYTES = 2**30
"""Of features of all stages; of more pictures than that a random part will do for a head."""
MOST_VIEW_BYTES = 2**29
"""Of augmented views' features; with many pictures fewer views of each will do."""
SHARE_OF_TIME = 0.3
"""Of what is left of a time budget, for augmented views."""
PICTURES_TO_TELL = 2 * BATCH
MIRRORED_PICTURES = 500  # enough to see 5 % of harm, and never a long pass


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Features of a run's pictures.

    Attributes:
        plain: of the training pictures as evaluation sees them.
        views: of augmented ones, those stages that the head reads; None without any.
        validation: of the validation pictures; None without any.
    """

    plain: FeatureTable
    views: FeatureTable | None
    validation: FeatureTable | None

    def training(self) -> tuple[FeatureTable, ...]:
        """Return plain and augmented views."""
        return (self.plain,) if self.views is None else (self.plain, self.views)


class Gatherer:
    """Run the backbone of a task over what has no stored features yet.

    Args:
        task: whose pictures are looked at.

    Raises:
        TrainingError: the backbone's weights are no numbers.
    """

    def __init__(self, task: Task) -> None:
        _refuse_broken_weights(task.classifier.backbone)
        self._task = task
        self._extractor = FeatureExtractor(
            task.classifier.backbone,
            task.backbone_facts,
            task.feature_folder,
            task.config.data.feature_precision,
        )
        self._training = _no_more_than(task, MOST_PLAIN_BYTES // (4 * sum(self._extractor.widths)))
        self._computed, self._seconds = 0, 0.0

    def seconds_per_picture(self) -> float:
        """Return the time of decoding a picture and running the backbone over it.

        Where all features were stored, it is that of the backbone alone.
        """
        if self._computed:
            return self._seconds / self._computed
        return self._extractor.seconds_per_picture(self._size)

    def sample(self, most: int, seconds: float) -> Gathered | None:
        """Return features of some pictures, as many as there is time for.

        Args:
            most: training pictures; a quarter as many of validation.
            seconds: after which no more are begun.

        Returns:
            None where there are no more pictures than ``most``, or not two of the training.
        """
        task = self._task
        if len(task.training) <= most:
            return None
        until = time.monotonic() + seconds
        rng = np.random.default_rng(task.config.seed)
        tables: list[list[FeatureTable]] = [[], []]
        for examples, count, found in zip(
            (task.validation, task.training), (most // 4, most), tables, strict=True
        ):
            chosen = rng.permutation(len(examples))[:count]
            for first in range(0, len(chosen), 4 * BATCH):
                if found and time.monotonic() > until:
                    break
                some = _taken(examples, np.sort(chosen[first : first + 4 * BATCH]))
                found.append(self._look("a first look", some, plain_view(self._size)))
        validation, training = tables
        return Gathered(joined(training), None, joined(validation) if validation else None)

    def plain(self) -> Gathered:
        """Return features of training and validation pictures, and say if flips harm.

        Of so many training pictures that all their stages would not fit, it takes a random part.
        """
        task, view = self._task, plain_view(self._size)
        self._refuse_spent_budget()
        plain = self._look("features", self._training, view)
        validation = None
        if task.validation:
            validation = self._look("features of validation", task.validation, view)
            if compared := _compared(task):
                mirrored = self._look(
                    "mirrored", _taken(task.validation, compared), mirrored_view(self._size)
                )
                _report_flip_harm(task, plain, validation.take(compared), mirrored)
        return Gathered(plain, None, validation)

    def with_views(self, gathered: Gathered, n_views: int, taps: Sequence[int]) -> Gathered:
        """Add augmented views, so many a picture.

        Args:
            gathered: by `plain`.
            n_views: 0 adds none.
            taps: stages that the head reads.
        """
        task = self._task
        row_bytes = 4 * sum(gathered.plain.widths[tap] for tap in taps)
        n_views = min(n_views, MOST_VIEW_BYTES // (row_bytes * len(gathered.plain)))
        if (left := task.seconds_left()) is not None:
            one = self.seconds_per_picture() * len(gathered.plain)
            n_views = min(n_views, int(SHARE_OF_TIME * left / one))
        if n_views < 1:
            return gathered
        varied = augmented_view(task.augmentation, task.augmentation.facts(), task.config.seed)
        examples, numbers = repeated(self._training, n_views)
        views = self._look("features of views", examples, varied, numbers, taps)
        return Gathered(gathered.plain, views, gathered.validation)

    def _refuse_spent_budget(self) -> None:
        """Stop where the time is over before there was a first picture.

        Raises:
            ConfigError: with what would do.
        """
        left, budget = self._task.seconds_left(), self._task.config.training.time_budget
        if left is not None and budget is not None and left <= 0:
            raise ConfigError(
                f"a time budget of {budget:.0f} s is too small: starting and exporting alone take "
                f"about {budget - left:.0f} s here; give at least {1.5 * (budget - left):.0f} s"
            )

    def _refuse_small_budget(self, pictures: int, seconds: float, done: int) -> None:
        """Stop where not even one pass fits into the time budget, as soon as that is plain.

        Raises:
            ConfigError: with what would do.
        """
        left, budget = self._task.seconds_left(), self._task.config.training.time_budget
        if left is None or budget is None or done < PICTURES_TO_TELL:
            return
        missing = seconds * (1 - done / pictures) - left
        if missing > 0:
            raise ConfigError(
                f"a time budget of {budget:.0f} s is too small: one pass over {pictures:,} "
                f"pictures takes about {seconds:.0f} s here, and starting and exporting the rest; "
                f"give at least {budget + 1.5 * missing:.0f} s, or a cheaper --backbone"
            )

    @property
    def _size(self) -> tuple[int, int]:
        return self._task.classifier.image_size

    def _look(
        self,
        name: str,
        examples: Sequence[Example],
        view: View,
        numbers: Sequence[int] | None = None,
        stages: Sequence[int] | None = None,
    ) -> FeatureTable:
        listener, pace = self._task.listener, _Pace()
        listener.phase_started(name, 1, -(-len(examples) // BATCH))

        def on_batch(rows: int) -> None:
            pace.add(rows)
            if pace.done < len(examples):
                seconds = pace.seconds_per_picture() * len(examples)
                self._refuse_small_budget(len(examples), seconds, pace.done)
            listener.step_done(name, 1, -(-pace.done // BATCH), rows)

        table = self._extractor.extract(
            examples,
            view,
            numbers=numbers,
            identities=_identities(examples),
            stages=stages,
            feed=self._task.feed,
            on_batch=on_batch,
        )
        refuse_no_numbers(table)
        if computed := len(table) - table.stored:
            self._computed += computed
            self._seconds += computed * pace.seconds_per_picture()
        return table


class _Pace:
    """How long a picture takes, without what precedes the first batch or comes from a store."""

    def __init__(self) -> None:
        self.done = 0
        self._began = time.perf_counter()
        self._marks: list[tuple[int, float]] = []

    def add(self, rows: int) -> None:
        """Count a batch that is done."""
        self.done += rows
        self._marks.append((self.done, time.perf_counter()))

    def seconds_per_picture(self) -> float:
        """Return the time by the batches after the first; of a single one, its whole time."""
        if len(self._marks) == 1:
            return (self._marks[0][1] - self._began) / self.done
        (first, began), (last, ended) = self._marks[0], self._marks[-1]
        return (ended - began) / (last - first)


def _no_more_than(task: Task, most: int) -> Sequence[Example]:
    """Return the training pictures, or a random part of so many, and say so."""
    if len(task.training) <= most:
        return task.training
    task.say(
        f"heads learn from {most:,} of the {len(task.training):,} training pictures, drawn at "
        "random: the features of all would take too much memory"
    )
    chosen = np.random.default_rng(task.config.seed).permutation(len(task.training))[:most]
    return _taken(task.training, np.sort(chosen))


def repeated(training: Sequence[Example], n_views: int) -> tuple[Sequence[Example], list[int]]:
    """Return each picture as often as it gets views, and the number of each view.

    A picture that balancing repeats gets other views each time.
    """
    seen: dict[str, int] = {}
    first = []
    for example in training:
        first.append(n_views * seen.get(example.key, 0))
        seen[example.key] = seen.get(example.key, 0) + 1
    numbers = [start + view for view in range(n_views) for start in first]
    return _taken(training, np.tile(np.arange(len(training)), n_views)), numbers


def _taken(examples: Sequence[Example], places: Any) -> Sequence[Example]:
    if isinstance(examples, Dataset):
        return examples.take(np.asarray(places, np.int64))
    return [examples[int(place)] for place in places]


def _identities(examples: Sequence[Example]) -> Sequence[str] | None:
    if isinstance(examples, Dataset) and examples.identities is not None:
        return [str(one) for one in examples.identities]
    return None


def _refuse_broken_weights(backbone: keras.Model) -> None:
    """Refuse weights that are no numbers; clipped activations may hide them from the features."""
    for variable in backbone.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise TrainingError(
                f"the backbone's {variable.path!r} has values that are not finite, so its features "
                "mean nothing; use a file of weights from a run that did not diverge"
            )


def refuse_no_numbers(table: FeatureTable) -> None:
    """Stop before a head is solved that would never be better than nothing."""
    if not np.isfinite(table.features).all():
        raise TrainingError(
            "the backbone's features of some pictures are not finite, so no head can learn from "
            "them. Its weights may be damaged; with mixed precision, try "
            "--set training.mixed_precision=off"
        )


def _compared(task: Task) -> list[int]:
    """Return the places of the validation pictures that are looked at mirrored, all classes."""
    # The probe that compares them knows one class a picture.
    if task.problem != "single_label" or not mirrors(task.augmentation.transforms()):
        return []
    count = len(task.validation)
    return [int(place) for place in np.arange(0, count, max(1, -(-count // MIRRORED_PICTURES)))]


def _report_flip_harm(
    task: Task, plain: FeatureTable, held_out: FeatureTable, mirrored: FeatureTable
) -> None:
    """Measure on a probe of its own: the head learns from mirrored views too."""
    last: list[Any] = [one.of_stages([-1]) for one in (plain, held_out, mirrored)]
    harm = flip_harm(
        *probe_predictions(last[0], plain.targets, last[1], last[2]), labels=mirrored.targets
    )
    if harm is not None:
        task.on_flip_harm(harm)
