"""A batch in parts is the same update as the batch as a whole."""

from typing import Any

import keras
import numpy as np
import pytest

from tl.training.fit import compile_classifier
from tl.training.optimizer import build_optimizer
from tl.training.updates import Updater, split_batch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 10).astype(np.int32)
WEIGHTS = RNG.uniform(0.5, 2, 10).astype(np.float32)
BATCH = (X, Y, WEIGHTS)


def updater(micro_batches: int = 1, kernel: int = 8) -> tuple[keras.Model, Updater]:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(kernel, "relu"), keras.layers.Dense(3)]
    )

    def compile_for(parts: int) -> None:
        optimizer = build_optimizer(
            learning_rate=0.01, total_steps=20, warmup_steps=0, weight_decay=0.1,
            micro_batches=parts,
        )  # fmt: skip
        compile_classifier(model, optimizer)

    return model, Updater(model, compile_for, micro_batches)


@pytest.mark.parametrize("parts", [2, 3, 4, 10])
def test_parts_have_one_size_and_the_mean_of_the_whole(parts: int) -> None:
    losses = RNG.normal(size=10)

    cut = split_batch((losses, Y, WEIGHTS), parts)

    assert len(cut) == parts
    assert len({len(one[0]) for one in cut}) == 1
    means = [(one * weights).mean() for one, _, weights in cut]
    assert np.mean(means) == pytest.approx((losses * WEIGHTS).mean())


@pytest.mark.parametrize("parts", [2, 4])
def test_updates_in_parts_lead_where_whole_ones_lead(parts: int) -> None:
    whole, one = updater()
    cut, other = updater(parts)

    for _ in range(5):
        first, second = one(BATCH), other(BATCH)
        assert second == pytest.approx(first, rel=1e-4)

    for a, b in zip(whole.get_weights(), cut.get_weights(), strict=True):
        assert np.allclose(a, b, atol=2e-5)


@pytest.mark.slow
def test_batch_that_does_not_fit_is_halved_until_it_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The memory is really asked for: a layer of so many units that no machine has the room."""
    model, update = updater()
    wide = keras.layers.Lambda(_hungry)
    hungry = keras.Sequential([keras.Input((6,)), wide, *model.layers])

    def compile_for(parts: int) -> None:
        optimizer = build_optimizer(
            learning_rate=0.01, total_steps=20, warmup_steps=0, weight_decay=0.1,
            micro_batches=parts,
        )  # fmt: skip
        compile_classifier(hungry, optimizer)

    halving = Updater(hungry, compile_for)
    keras.utils.set_random_seed(0)
    for _ in range(3):
        halving(BATCH)

    assert halving.micro_batches == 4
    assert "a batch of 10 does not fit into memory: it is now computed in parts of 3" in caplog.text
    plain, plainly = updater()
    for _ in range(3):
        plainly(BATCH)
    for a, b in zip(hungry.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(a, b, atol=2e-5)


def _hungry(x: Any) -> Any:
    """Return x, after asking for 4 * rows ** 16 bytes: 172 MB for 3 rows, 610 GB for 5."""
    import tensorflow as tf

    rows = tf.shape(x, out_type=tf.int64)[0]
    room = tf.fill([rows**16], tf.stop_gradient(x[0, 0]))
    return x + 0.0 * tf.reduce_min(room)


def test_what_does_not_fit_picture_by_picture_is_raised() -> None:
    _, update = updater()

    def always(*_: Any, **__: Any) -> Any:
        raise MemoryError("RESOURCE_EXHAUSTED: not even one")

    update.model.train_on_batch = always
    with pytest.raises(MemoryError):
        update(BATCH)
    assert update.micro_batches == 16


def test_other_errors_are_not_taken_for_memory() -> None:
    _, update = updater()

    with pytest.raises(Exception, match=r"."):
        update((X[:, :2], Y, WEIGHTS))
    assert update.micro_batches == 1
