"""One update of a model, in as many parts as its memory asks for."""

import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tl.training.devices import is_out_of_memory

Batch = tuple[Any, Any, Any]
_log = logging.getLogger(__name__)


class Updater:
    """Update a model by batches; where one does not fit, by halves of it, with the same effect.

    The gradients of the parts are averaged before the weights change, so that the batch stays what
    it was for learning. Only its mean and variance within BatchNorm layers in training mode are
    those of a part.

    Args:
        model: to be trained.
        compile_for: compiles it with an optimizer for batches that come in so many parts.
        micro_batches: parts to begin with.

    Attributes:
        model: that is trained.
        micro_batches: parts that a batch is computed in now.
    """

    def __init__(
        self, model: keras.Model, compile_for: Callable[[int], None], micro_batches: int = 1
    ) -> None:
        self.micro_batches = micro_batches
        self.model, self._compile_for = model, compile_for
        self._updates: int | None = None
        compile_for(micro_batches)

    def __call__(self, batch: Batch) -> dict[str, float]:
        """Update by (images, labels, weights); return the batch's loss and metrics.

        Raises:
            Exception: of the backend, where not even one picture fits into memory.
        """
        if self._updates is None:  # a checkpoint may have been restored since it was compiled
            self._updates = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        while True:
            try:
                metrics = self.attempt(batch)
            except Exception as error:
                if not is_out_of_memory(error) or self.micro_batches >= len(batch[0]):
                    raise
                self._halve(len(batch[0]), self._updates)
            else:
                self._updates += 1
                return metrics

    def attempt(self, batch: Batch) -> dict[str, float]:
        """Update once, in the parts of now.

        Raises:
            Exception: of the backend, where they do not fit into memory.
        """
        if self.micro_batches == 1:
            logs = self.model.train_on_batch(*batch, return_dict=True)
            return {name: float(value) for name, value in logs.items()}
        parts = split_batch(batch, self.micro_batches)
        logs = [self.model.train_on_batch(*part, return_dict=True) for part in parts]
        mass = [float(weights.sum()) + 1e-12 for _, _, weights in parts]
        # The parts' losses are means over rows, the metrics means over weights.
        shares = {"loss": np.ones(len(parts))}
        return {
            name: float(np.average([one[name] for one in logs], weights=shares.get(name, mass)))
            for name in logs[0]
        }

    def _halve(self, size: int, updates: int) -> None:
        """Compile for parts of half the size; the optimizer keeps what it has learnt.

        All gradients are needed for their common norm before anything changes, so the update that
        failed has changed nothing but Keras' count of iterations.
        """
        before = {one.path: np.asarray(one) for one in self.model.optimizer.variables}
        self.micro_batches *= 2
        self._compile_for(self.micro_batches)
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        for variable in optimizer.variables:
            if variable.path in before and "gradient_accumulator" not in variable.path:
                variable.assign(before[variable.path])
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner._iterations.assign(updates * self.micro_batches)
        _log.warning(
            "a batch of %d does not fit into memory: it is now computed in parts of %d, and their "
            "gradients are added up, so that it counts as before",
            size,
            -(-size // self.micro_batches),
        )


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into parts of one size whose mean losses have the mean of the whole batch.

    The last part is filled up with rows of weight 0, as another size would be compiled anew, and
    the other weights grow by what that takes from the mean.
    """
    if parts == 1:
        return [batch]
    rows = len(batch[0])
    size = -(-rows // parts)
    missing = size * parts - rows
    images, labels, weights = (
        np.concatenate([np.asarray(one), np.repeat(np.asarray(one)[-1:], missing, axis=0)])
        for one in batch
    )
    weights = weights * np.float32(size * parts / rows)
    weights[rows:] = 0
    return [
        (images[first : first + size], labels[first : first + size], weights[first : first + size])
        for first in range(0, size * parts, size)
    ]
