"""What every phase of one run shares."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tl.augment.flip_harm import FlipHarm
from tl.augment.recipes import Augmentation
from tl.classifier import Classifier
from tl.config import RunConfig
from tl.data.batches import PLAIN_FEED, Feed
from tl.data.example import Example
from tl.problem import Problem
from tl.strategy import Decision
from tl.training.devices import ONE_CPU, Device
from tl.training.progress import Listener
from tl.training.standing import CheckpointWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A classifier and what it learns from.

    Attributes:
        classifier: with pretrained backbone; trained in place.
        training: pictures to learn from.
        validation: pictures that choose the best epoch; empty keeps the last epoch.
        augmentation: for the training pictures.
        config: rates, sizes and seed.
        listener: told of progress.
        on_best: given a classifier that is the best so far, to store it.
        before_training: told how many seconds of training are expected, whenever they become
            known and a usable model is stored.
        on_flip_harm: told once if the augmentation mirrors and mirrored pictures are taken for
            other classes.
        on_decision: told what ``auto`` has chosen, before it goes on.
        feed: how the training pictures are read.
        problem: what is learned of the pictures.
        checkpoints: keeps where the run stands, or None.
        backbone_facts: all that decides the backbone's features, for the name of their store.
        feature_folder: for stored features, or None to keep nothing.
        seconds_left: gives the time until training has to end; None without a time budget.
        device: what it is computed on.
        say: receives one line about each thing that was found by trying.
    """

    classifier: Classifier
    training: Sequence[Example]
    validation: Sequence[Example]
    augmentation: Augmentation
    config: RunConfig
    listener: Listener
    on_best: Callable[[Classifier], None]
    before_training: Callable[[float], None] = lambda seconds: None
    on_flip_harm: Callable[[FlipHarm], None] = lambda harm: None
    on_decision: Callable[[Decision], None] = lambda decision: None
    feed: Feed = PLAIN_FEED
    problem: Problem = "single_label"
    checkpoints: CheckpointWriter | None = None
    backbone_facts: Mapping[str, Any] = field(default_factory=dict)
    feature_folder: Path | None = None
    seconds_left: Callable[[], float | None] = lambda: None
    device: Device = ONE_CPU
    say: Callable[[str], None] = lambda line: None

    @property
    def steps_per_epoch(self) -> int:
        """Updates in which as many pictures are seen as there are."""
        return max(1, round(len(self.training) / self.batch_size))

    @property
    def batch_size(self) -> int:
        """Pictures an update, once it is settled."""
        size = self.config.training.batch_size
        assert size != "auto", "a trial settles it first"
        return min(size, max(1, len(self.training)))  # none is seen twice in one update

    def with_batch_size(self, size: int) -> Self:
        """Return the same task in batches of one size."""
        training = dataclasses.replace(self.config.training, batch_size=size)
        return dataclasses.replace(self, config=dataclasses.replace(self.config, training=training))
