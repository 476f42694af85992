"""What a head learns from: features of plain and augmented training pictures, and of validation."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tl.augment.flip_harm import flip_harm, probe_predictions
from tl.data.example import Dataset, Example
from tl.errors import TrainingError
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

MIRRORED_PICTURES = 500  # enough to see 5 % of harm, and never a long pass


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Features of a run's pictures.

    Attributes:
        plain: of the training pictures as evaluation sees them.
        views: of augmented ones; None without any.
        validation: of the validation pictures; None without any.
        pictures_per_second: that were decoded and went through the backbone; None where all
            features were stored.
    """

    plain: FeatureTable
    views: FeatureTable | None
    validation: FeatureTable | None
    pictures_per_second: float | None

    def training(self) -> FeatureTable:
        """Return plain and augmented views together."""
        return self.plain if self.views is None else joined([self.plain, self.views])


def gather(task: Task) -> Gathered:
    """Run the backbone over what has no stored features yet.

    Raises:
        TrainingError: the weights or the features are no numbers.
    """
    _refuse_broken_weights(task.classifier.backbone)
    extractor = FeatureExtractor(task.classifier.backbone, task.backbone_facts, task.feature_folder)
    n_views, size = task.config.augment.feature_views, task.classifier.image_size
    compared = _compared(task)
    rows = (1 + n_views) * len(task.training) + len(task.validation) + len(compared)
    task.listener.phase_started("features", 1, -(-rows // BATCH))
    began, done = time.perf_counter(), 0

    def look(
        examples: Sequence[Example], view: View, numbers: Sequence[int] | None = None
    ) -> FeatureTable:
        def on_batch(rows: int) -> None:
            nonlocal done
            done += rows
            task.listener.step_done("features", 1, -(-done // BATCH), rows)

        table = extractor.extract(
            examples,
            view,
            numbers=numbers,
            identities=_identities(examples),
            feed=task.feed,
            on_batch=on_batch,
        )
        refuse_no_numbers(table)
        return table

    plain = look(task.training, plain_view(size))
    validation = look(task.validation, plain_view(size)) if task.validation else None
    tables = [plain, *([validation] if validation else [])]
    views = None
    if n_views:
        facts = task.augmentation.facts()
        varied = augmented_view(task.augmentation, facts, task.config.seed)
        examples, numbers = repeated(task.training, n_views)
        views = look(examples, varied, numbers)
        tables.append(views)
    if compared and validation is not None:
        mirrored = look([task.validation[place] for place in compared], mirrored_view(size))
        _report_flip_harm(task, plain, validation.take(compared), mirrored)
        tables.append(mirrored)
    computed = sum(len(one) - one.stored for one in tables)
    seconds = time.perf_counter() - began
    return Gathered(plain, views, validation, computed / seconds if computed else None)


def repeated(training: Sequence[Example], n_views: int) -> tuple[Sequence[Example], list[int]]:
    """Return each picture as often as it gets views, and the number of each view.

    A picture that balancing repeats gets other views each time.
    """
    seen: dict[str, int] = {}
    first = []
    for example in training:
        first.append(n_views * seen.get(example.key, 0))
        seen[example.key] = seen.get(example.key, 0) + 1
    places = np.tile(np.arange(len(training)), n_views)
    numbers = [start + view for view in range(n_views) for start in first]
    if isinstance(training, Dataset):
        return training.take(places), numbers
    return [training[int(place)] for place in places], numbers


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
