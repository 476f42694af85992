"""Several devices of one machine, each computing a part of every batch. TensorFlow only.

A copy of the model is mirrored on all devices and trained there; the model itself stays as it is,
so that a run can go on with it where the devices do not agree. `MirroredStrategy` averaged losses
wrongly in more than one release of Keras, which is why they are compared before they are trusted.
"""

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tl.training.optimizer import CLIP_NORM, LayerwiseAdamW
from tl.training.updates import Batch, Updater, split_batch

TOLERANCE = 0.02
"""Relative difference of loss and of the change of all weights. Another order of summation, or
TensorFloat-32, gives 1e-6 to 1e-3; a mean that is a sum, or gradients that are not exchanged, at
least 0.5."""
TOLERANCE_16_BIT = 0.2
"""Rounding to 8 bits of mantissa in every layer gives some hundredths."""
_log = logging.getLogger(__name__)


class ReplicaUpdater(Updater):
    """Update a mirrored copy of a model; the effect is that of one device.

    Only BatchNorm layers in training mode differ: each device has mean and variance of its part.

    Args:
        model: to be copied, with its weights and states.
        compile_for: compiles a model with an optimizer for batches in so many parts; is asked for
            one, as parts are added up here.
        devices: TensorFlow's names of two or more.
        clip_norm: bound on the norm of the whole batch's gradient, or None.
        micro_batches: parts that each device computes one after the other, to begin with.
    """

    def __init__(
        self,
        model: keras.Model,
        compile_for: Callable[[keras.Model, int], None],
        devices: Sequence[str],
        clip_norm: float | None = CLIP_NORM,
        micro_batches: int = 1,
    ) -> None:
        self._tf: Any = importlib.import_module("tensorflow")
        self._devices, self._clip_norm = tuple(devices), clip_norm
        self._strategy = self._tf.distribute.MirroredStrategy(list(devices))
        with self._strategy.scope():
            # Not the compiled one, which would have its optimizer cloned too.
            copy = keras.models.clone_model(keras.Model(model.input, model.output))
        copy_variables(model, copy)

        def compile_copy(parts: int) -> None:
            with self._strategy.scope():
                compile_for(copy, 1)
                # Keras would build it within the first update, where a mirrored variable cannot.
                copy.optimizer.build(copy.trainable_variables)

        super().__init__(copy, compile_copy)
        self.micro_batches = micro_batches
        self._step = self._make_step()

    def attempt(self, batch: Batch) -> dict[str, float]:
        """Update once, in the parts of now.

        Raises:
            Exception: of the backend, where they do not fit into memory.
        """
        each = self.micro_batches
        parts = split_batch(batch, each * len(self._devices))

        def of_device(context: Any) -> tuple[Any, ...]:
            number = context.replica_id_in_sync_group
            mine = parts[number * each : (number + 1) * each]
            with self._tf.device(self._devices[number]):
                return tuple(
                    self._tf.constant(np.concatenate(arrays)) for arrays in zip(*mine, strict=True)
                )

        values = self._strategy.experimental_distribute_values_from_function(of_device)
        self.model.reset_metrics()
        loss = float(self._step(values))
        return {name: float(value) for name, value in self.model.get_metrics_result().items()} | {
            "loss": loss
        }

    def _make_step(self) -> Any:
        """Return the function that updates all devices by a tuple of their parts."""
        tf, strategy, model, each = self._tf, self._strategy, self.model, self.micro_batches

        def on_device(images: Any, targets: Any, weights: Any) -> Any:
            size = images.shape[0] // each
            gradients: list[Any] = []
            loss = 0.0
            for first in range(0, each * size, size):
                rows = slice(first, first + size)
                # One part after the other, or all of them would be in memory at once.
                with tf.control_dependencies(gradients):
                    part, found = self._gradients(images[rows], targets[rows], weights[rows])
                loss += part / each
                found = [one / each for one in found]
                gradients = (
                    [a + b for a, b in zip(gradients, found, strict=True)] if gradients else found
                )
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            if self._clip_norm is not None:
                # Keras clips what each device has, which is not the norm of the batch. Its own
                # bound, on a share of these, does nothing any more.
                gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
            share = 1 / len(self._devices)  # as Keras adds up what the devices have
            model.optimizer.apply([share * one for one in gradients], model.trainable_variables)
            return loss

        def step(values: tuple[Any, ...]) -> Any:
            losses = strategy.run(on_device, args=values)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

        return tf.function(step)

    def _gradients(self, images: Any, targets: Any, weights: Any) -> tuple[Any, list[Any]]:
        """Return a device's share of the loss, which Keras has divided by their number."""
        model = self.model
        with self._tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = model.compute_loss(
                x=images, y=targets, y_pred=outputs, sample_weight=weights, training=True
            )
        model.compute_metrics(images, targets, outputs, weights)
        return loss, tape.gradient(loss, model.trainable_variables)

    def _halve(self, size: int, updates: int) -> None:
        self.micro_batches *= 2
        self.model.optimizer._iterations.assign(updates)
        self._step = self._make_step()
        _log.warning(
            "a batch of %d does not fit into the memory of %d devices: each now computes its share "
            "in %d parts, and their gradients are added up, so that it counts as before",
            size,
            len(self._devices),
            self.micro_batches,
        )


def copy_variables(model: keras.Model, copy: keras.Model) -> None:
    """Give a model of the same layers the weights and the states of another."""
    for one, other in zip(model.variables, copy.variables, strict=True):
        other.assign(keras.ops.convert_to_numpy(one))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far one update on several devices is from the same one on one device.

    Attributes:
        losses: of one device and of all.
        change: norm of the difference of the changed weights, over that of the change.
    """

    losses: tuple[float, float]
    change: float

    def holds(self, precision: str) -> bool:
        """Return whether both are the same but for rounding."""
        bound = TOLERANCE if precision == "float32" else TOLERANCE_16_BIT
        one, all_ = self.losses
        return abs(one - all_) <= bound * max(abs(one), 1e-6) and self.change <= bound


def compare_replicas(
    model: keras.Model,
    compile_with: Callable[[keras.Model, keras.optimizers.Optimizer], None],
    devices: Sequence[str],
    batch: Batch,
) -> Agreement:
    """Update once on one device and once on several, from the same weights by the same batch.

    Without dropout and with BatchNorm in inference mode, which differ by their nature.

    Args:
        model: left as it was, though compiled anew.
        compile_with: compiles a model with an optimizer, as the training will.
        devices: to be compared with one.
        batch: (images, targets, weights).
    """
    before = [keras.ops.convert_to_numpy(one) for one in model.variables]
    with contextlib.ExitStack() as stack:

        def compile_for(one: keras.Model, parts: int) -> None:
            stack.enter_context(_without_chance(one))
            # With so large an epsilon Adam's step is proportional to the gradient; with a small
            # one it would not tell twice the gradient from the gradient.
            compile_with(one, LayerwiseAdamW(1.0, epsilon=1.0))

        mirrored = ReplicaUpdater(model, compile_for, devices, clip_norm=None)
        several = mirrored.attempt(batch)["loss"]
        compile_for(model, 1)
        alone = Updater(model, lambda parts: None).attempt(batch)["loss"]
        pairs = zip(model.trainable_variables, mirrored.model.trainable_variables, strict=True)
        by_path = {one.path: value for one, value in zip(model.variables, before, strict=True)}
        moved = apart = 0.0
        for one, other in pairs:
            value = keras.ops.convert_to_numpy(one).astype(np.float64)
            moved += float(np.square(value - by_path[one.path]).sum())
            apart += float(np.square(value - keras.ops.convert_to_numpy(other)).sum())
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    return Agreement((alone, several), float(np.sqrt(apart / max(moved, 1e-24))))


@contextlib.contextmanager
def _without_chance(model: keras.Model) -> Iterator[None]:
    """Take dropout out of a model and freeze its norms while a block runs."""
    changed: list[tuple[Any, str, Any]] = []
    for layer in model._flatten_layers():
        values = {"rate": 0.0, "drop_path_rate": 0.0}
        if isinstance(layer, keras.layers.BatchNormalization):
            values = {"trainable": False}
        for name, value in values.items():
            if hasattr(layer, name):
                changed.append((layer, name, getattr(layer, name)))
                setattr(layer, name, value)
    try:
        yield
    finally:
        for layer, name, value in changed:
            setattr(layer, name, value)
