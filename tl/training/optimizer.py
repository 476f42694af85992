"""AdamW under a cosine schedule with warm-up; biases and norms are spared from decay."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

# A backbone can be thrown off by one batch.
CLIP_NORM = 1.0


class LayerwiseAdamW(keras.optimizers.Adam):  # type: ignore[misc]
    """AdamW whose learning rate has a factor for every variable.

    Keras has one rate for all. Decoupled decay follows the variable's own rate, as it would with an
    optimizer for each group.

    Args:
        learning_rate: number or schedule.
        factor_of: from a variable of the model to its factor.
        decay: decoupled weight decay for each unit of learning rate.
        **options: of `keras.optimizers.Adam`.

    Sources: Loshchilov and Hutter 2019 (AdamW); Howard and Ruder 2018, section 3.2 (a rate for
    each group of layers).
    """

    def __init__(
        self,
        learning_rate: Any,
        factor_of: Callable[[Any], float] = lambda variable: 1.0,
        decay: float = 0.0,
        name: str = "adamw",
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **options)
        self._factor_of = factor_of
        self._decay = decay
        self._factors: list[float] = []
        self._decays: list[float] = []

    def build(self, variables: list[Any]) -> None:
        """Look up the factor and the decay of every variable, once."""
        super().build(variables)
        self._factors = [float(self._factor_of(one)) for one in variables]
        # Kernels only: a bias or a scale that shrinks to zero is no simpler network.
        self._decays = [0.0 if len(one.shape) < 2 else self._decay for one in variables]

    def _get_current_learning_rate(self) -> Any:
        # Keras asks its schedule for each part of a batch, as if it were an update of its own.
        schedule = self._learning_rate
        return schedule(self.iterations) if callable(schedule) else schedule

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take Adam's step and decay one variable, both at its own rate and from where it is."""
        place = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype) * self._factors[place]
        decayed = ops.multiply(variable, rate * self._decays[place])
        super().update_step(gradient, variable, rate)
        # After the step, which waits for the gradients: without memory for them nothing changes.
        if self._decays[place]:
            self.assign_sub(variable, decayed)


def build_optimizer(
    *,
    learning_rate: float,
    total_steps: int,
    warmup_steps: int,
    weight_decay: float,
    clip_norm: float | None = CLIP_NORM,
    factor_of: Callable[[Any], float] = lambda variable: 1.0,
    ema_momentum: float = 0.0,
    micro_batches: int = 1,
) -> keras.optimizers.Optimizer:
    """Return an optimizer for exactly ``total_steps`` updates.

    Args:
        learning_rate: the peak, reached after the warm-up.
        total_steps: updates until the rate reaches zero.
        warmup_steps: updates of linear growth from zero.
        weight_decay: decoupled decay for each unit of learning rate.
        clip_norm: bound on the norm of all gradients together, or None.
        factor_of: from a variable of the model to the factor of its rate.
        ema_momentum: of the moving average of the weights, for each update; 0 keeps none.
        micro_batches: parts that each batch comes in; gradients are averaged over them.

    Sources: Loshchilov and Hutter 2017 (cosine) and 2019 (AdamW); Goyal et al. 2017 (warm-up).
    """
    warmup_steps = min(warmup_steps, total_steps - 1)
    schedule: keras.optimizers.schedules.LearningRateSchedule
    if warmup_steps > 0:
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, total_steps - warmup_steps, warmup_target=learning_rate, warmup_steps=warmup_steps
        )
    else:
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, max(1, total_steps))
    return LayerwiseAdamW(
        schedule,
        factor_of,
        weight_decay,
        global_clipnorm=clip_norm,
        use_ema=ema_momentum > 0,
        ema_momentum=ema_momentum ** (1 / micro_batches),  # it is updated with every part
        gradient_accumulation_steps=micro_batches if micro_batches > 1 else None,
    )


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Give a model the moving average of its weights while a block runs, where there is one."""
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not (inner.use_ema and inner.built and int(ops.convert_to_numpy(inner.iterations))):
        yield
        return
    own = [np.array(ops.convert_to_numpy(one)) for one in model.trainable_variables]
    inner.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:
        # On JAX the average and the weight are now one buffer, which evaluation gives away.
        variable.assign(np.array(ops.convert_to_numpy(variable)))
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)
