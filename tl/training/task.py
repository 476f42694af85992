"""What every phase of one run shares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from tl.augment.flip_harm import FlipHarm
from tl.augment.recipes import Augmentation
from tl.classifier import Classifier
from tl.config import RunConfig
from tl.data.batches import PLAIN_FEED, Feed
from tl.data.example import Example
from tl.problem import Problem
from tl.strategy import Phase
from tl.training.fit import compile_classifier
from tl.training.optimizer import build_optimizer
from tl.training.progress import Listener


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
        on_best: called when the classifier is the best so far, to store it.
        on_flip_harm: told once if the augmentation mirrors and mirrored pictures are taken for
            other classes.
        feed: how the training pictures are read.
        problem: what is learned of the pictures.
    """

    classifier: Classifier
    training: Sequence[Example]
    validation: Sequence[Example]
    augmentation: Augmentation
    config: RunConfig
    listener: Listener
    on_best: Callable[[], None]
    on_flip_harm: Callable[[FlipHarm], None] = lambda harm: None
    feed: Feed = PLAIN_FEED
    problem: Problem = "single_label"

    @property
    def steps_per_epoch(self) -> int:
        """Updates in which as many pictures are seen as there are."""
        return max(1, round(len(self.training) / self.config.training.batch_size))

    def compile(self, model: keras.Model, phase: Phase) -> None:
        """Give a model the phase's optimizer and the loss."""
        training = self.config.training
        total = self.steps_per_epoch * phase.epochs
        optimizer = build_optimizer(
            learning_rate=phase.learning_rate,
            total_steps=total,
            warmup_steps=round(training.warmup_fraction * total),
            weight_decay=training.weight_decay,
            clip_norm=1.0,  # a backbone can be thrown off by one batch
        )
        compile_classifier(model, optimizer, training.label_smoothing, self.problem)
