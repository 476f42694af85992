"""The rate grows, falls along a cosine, and ends at zero; biases and norms do not decay."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl.training.optimizer import build_optimizer


def rates(total_steps: int, warmup_steps: int, peak: float = 0.1) -> list[float]:
    optimizer = build_optimizer(
        learning_rate=peak, total_steps=total_steps, warmup_steps=warmup_steps, weight_decay=0.0
    )
    schedule = optimizer._learning_rate
    return [float(schedule(step)) for step in range(total_steps + 1)]


def test_rate_grows_in_a_line_then_follows_a_cosine_to_zero() -> None:
    seen = rates(total_steps=20, warmup_steps=4)

    assert seen[:5] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    assert seen[4:] == pytest.approx(
        [0.05 * (1 + np.cos(np.pi * step / 16)) for step in range(17)], abs=1e-7
    )
    assert seen[-1] == pytest.approx(0, abs=1e-8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(total=st.integers(1, 40), warmup=st.integers(0, 60))
def test_rate_reaches_its_peak_and_zero_however_short_the_phase(total: int, warmup: int) -> None:
    seen = rates(total, warmup)

    assert max(seen) == pytest.approx(0.1)
    assert seen[-1] == pytest.approx(0, abs=1e-8)
    assert min(seen) >= 0


def test_decay_spares_biases_and_norms() -> None:
    inputs = keras.Input((3,))
    outputs = keras.layers.LayerNormalization()(keras.layers.Dense(2)(inputs))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.ones_like(one) for one in model.get_weights()])
    optimizer = build_optimizer(learning_rate=0.1, total_steps=10, warmup_steps=0, weight_decay=0.5)

    optimizer.apply([np.zeros(one.shape, np.float32) for one in model.trainable_variables],
                    model.trainable_variables)  # fmt: skip

    kernel, *others = (np.asarray(one) for one in model.trainable_variables)
    assert kernel == pytest.approx(1 - 0.1 * 0.5)
    for other in others:
        assert other == pytest.approx(1.0)


def test_gradients_are_clipped_by_their_common_norm() -> None:
    def trained(factor: float, **options: Any) -> Any:
        variables = [keras.Variable(np.zeros((2, 2))), keras.Variable(np.zeros(3))]
        optimizer = build_optimizer(
            learning_rate=0.1, total_steps=10, warmup_steps=0, weight_decay=0.0, **options
        )
        # One Adam step is the same for any scale, the next remembers it.
        for scale in (factor, 0.1):
            gradients = [np.full((2, 2), scale, np.float32), np.full(3, -scale, np.float32)]
            optimizer.apply(gradients, variables)
        return np.concatenate([np.asarray(one).ravel() for one in variables])

    assert trained(1e6) == pytest.approx(trained(7.0), abs=1e-6)
    assert trained(1e6, clip_norm=None) != pytest.approx(trained(7.0, clip_norm=None), abs=1e-3)
