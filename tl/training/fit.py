"""One phase of training: Keras `fit` with best weights kept, early stopping and reports."""

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import keras

from tl.errors import TrainingError
from tl.heads import unit_of
from tl.problem import Problem
from tl.training.losses import loss_and_metric
from tl.training.progress import EpochRecord, Listener


def compile_classifier(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    label_smoothing: float = 0.0,
    problem: Problem = "single_label",
) -> None:
    """Compile a model with a head for batches of (images or features, targets, weights)."""
    loss, metric = loss_and_metric(problem, unit_of(model), label_smoothing)
    model.compile(optimizer=optimizer, loss=loss, weighted_metrics=[metric])


def run_phase(
    model: keras.Model,
    batches: Any,
    validation: Any,
    *,
    phase: str,
    epochs: int,
    steps_per_epoch: int,
    batch_size: int,
    listener: Listener,
    first_epoch: int = 0,
    first_step: int = 0,
    patience: int | None = None,
    restore_best: bool = True,
    loss_to_beat: float = math.inf,
    on_best: Callable[[], None] = lambda: None,
    on_epoch: Callable[[int], object] = lambda epoch: None,
) -> list[EpochRecord]:
    """Train a compiled model.

    Args:
        model: compiled by `compile_classifier`.
        batches: endless, as `tl.data.batches.training_batches` gives.
        validation: one pass each time it is iterated, or None.
        phase: name for reports.
        epochs: upper bound, counted with those before ``first_epoch``.
        steps_per_epoch: optimizer updates an epoch.
        batch_size: pictures an update, for the throughput.
        listener: told of steps and epochs.
        first_epoch: epochs done before, of a resumed phase.
        first_step: updates of the phases before this one.
        patience: epochs without a better validation loss before stopping; None never stops.
        restore_best: end with the weights of the best validation loss; without validation, with
            those of the last epoch.
        loss_to_beat: validation loss that an epoch has to get below to count as best.
        on_best: called whenever validation is the best so far (to store the weights).
        on_epoch: called after every epoch with its number (to store a checkpoint).

    Returns:
        A record for every epoch that ran.

    Raises:
        TrainingError: the loss is not a number any more.
    """
    report = _Report(
        phase, epochs, steps_per_epoch, batch_size, listener, first_step,
        patience, loss_to_beat, on_best, on_epoch,
    )  # fmt: skip
    with warnings.catch_warnings():
        # Keras asks grain datasets for no length, so every end of a validation pass surprises it.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        model.fit(
            batches,
            epochs=epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_data=validation,
            callbacks=[report],
            shuffle=False,  # the batches are shuffled
            verbose=0,
        )
    if restore_best and report.best_weights is not None:
        model.set_weights(report.best_weights)
    return report.records


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(
        self,
        phase: str,
        epochs: int,
        steps_per_epoch: int,
        batch_size: int,
        listener: Listener,
        first_step: int,
        patience: int | None,
        loss_to_beat: float,
        on_best: Callable[[], None],
        on_epoch: Callable[[int], object],
    ) -> None:
        super().__init__()
        self.records: list[EpochRecord] = []
        self.best_weights: list[Any] | None = None
        self._best_loss = loss_to_beat
        self._since_best = 0
        self._phase, self._epochs, self._steps = phase, epochs, steps_per_epoch
        self._batch_size, self._listener, self._first_step = batch_size, listener, first_step
        self._patience, self._on_best, self._on_epoch = patience, on_best, on_epoch
        self._epoch_began = self._steps_ended = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self._listener.phase_started(self._phase, self._epochs, self._steps)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps_ended = time.perf_counter()
        self._listener.step_done(self._phase, self.params_epoch, batch + 1, self._batch_size)

    @property
    def params_epoch(self) -> int:
        return len(self.records) + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        # The last update of an epoch shows in validation only.
        losses = [metrics[name] for name in ("loss", "val_loss") if name in metrics]
        wrong = [one for one in losses if not math.isfinite(one)]
        if wrong:
            raise TrainingError(
                f"the loss of phase {self._phase!r} became {wrong[0]} in epoch {epoch + 1}. "
                "Lower the learning rate with --set training.learning_rate=..."
            )
        loss = losses[-1]
        # Without validation nothing says that an epoch is worse than the one before.
        best = "val_loss" not in metrics or loss < self._best_loss
        if best:
            self._best_loss, self._since_best = loss, 0
            self.best_weights = self.model.get_weights()
            self._on_best()
        else:
            self._since_best += 1
        record = EpochRecord(
            phase=self._phase,
            epoch=epoch + 1,
            step=self._first_step + (epoch + 1) * self._steps,
            seconds=time.perf_counter() - self._epoch_began,
            images_per_second=self._steps
            * self._batch_size
            / max(1e-9, self._steps_ended - self._epoch_began),
            metrics=metrics,
            best=best,
        )
        self.records.append(record)
        self._listener.epoch_done(record)
        self._on_epoch(epoch + 1)
        if self._patience is not None and self._since_best >= self._patience:
            self.model.stop_training = True
