"""AdamW under a cosine schedule with warm-up; biases and norms are spared from decay."""

import keras


def build_optimizer(
    *,
    learning_rate: float,
    total_steps: int,
    warmup_steps: int,
    weight_decay: float,
    clip_norm: float | None = None,
) -> keras.optimizers.Optimizer:
    """Return an optimizer for exactly ``total_steps`` updates.

    Args:
        learning_rate: the peak, reached after the warm-up.
        total_steps: updates until the rate reaches zero.
        warmup_steps: updates of linear growth from zero.
        weight_decay: decoupled decay for each unit of learning rate.
        clip_norm: bound on the norm of all gradients together, or None.

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
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, global_clipnorm=clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
