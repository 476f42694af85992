"""Whole and mixed labels.

Smoothing of integers is Keras' on one-hot labels; weight 0 does not count.
"""

import keras
import numpy as np
import pytest

from tl.training.losses import (
    MicroF1,
    SmoothedBinaryCrossEntropy,
    SmoothedCrossEntropy,
    StandardisedSquaredError,
    accuracy_metric,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 4)).astype(np.float32) * 3
LABELS = np.array([0, 1, 2, 3, 0, 1], np.int32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_is_that_of_keras_on_one_hot_labels(smoothing: float) -> None:
    one_hot = np.eye(4, dtype=np.float32)[LABELS]
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)

    ours = SmoothedCrossEntropy(smoothing)(LABELS, LOGITS)

    assert float(ours) == pytest.approx(float(keras_loss(one_hot, LOGITS)), rel=1e-6)


def test_loss_without_smoothing_is_worked_by_hand() -> None:
    loss = SmoothedCrossEntropy()(np.array([1]), np.log(np.array([[1.0, 3.0]], np.float32)))

    assert float(loss) == pytest.approx(-np.log(3 / 4), rel=1e-6)


def test_labels_in_a_column_are_taken_too() -> None:
    flat = SmoothedCrossEntropy(0.1)(LABELS, LOGITS)

    assert float(SmoothedCrossEntropy(0.1)(LABELS[:, None], LOGITS)) == float(flat)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_shares_of_labels_are_taken_as_they_are(smoothing: float) -> None:
    other = np.roll(LABELS, 1)
    shares = 0.7 * np.eye(4, dtype=np.float32)[LABELS] + 0.3 * np.eye(4, dtype=np.float32)[other]

    mixed = SmoothedCrossEntropy(smoothing)(shares, LOGITS)

    loss = SmoothedCrossEntropy(smoothing)
    both = 0.7 * float(loss(LABELS, LOGITS)) + 0.3 * float(loss(other, LOGITS))
    assert float(mixed) == pytest.approx(both, rel=1e-6)


def test_accuracy_counts_the_label_or_the_largest_share() -> None:
    hits = LOGITS.argmax(axis=1) == LABELS
    weights = np.array([1, 1, 0, 2, 1, 1], np.float32)
    shares = 0.6 * np.eye(4, dtype=np.float32)[LABELS] + 0.1

    for labels in (LABELS, LABELS[:, None], shares):
        metric = accuracy_metric()
        metric.update_state(labels, LOGITS, weights)
        assert float(metric.result()) == pytest.approx((hits * weights).sum() / weights.sum())


def test_loss_of_several_classes_is_the_mean_over_them_worked_by_hand() -> None:
    logits = np.log(np.array([[3.0, 1.0]], np.float32))  # probabilities of 3/4 and 1/2

    loss = SmoothedBinaryCrossEntropy()(np.array([[1.0, 0.0]], np.float32), logits)
    smoothed = SmoothedBinaryCrossEntropy(0.2)(np.array([[1.0, 0.0]], np.float32), logits)

    assert float(loss) == pytest.approx((-np.log(3 / 4) - np.log(1 / 2)) / 2, rel=1e-6)
    expected = -0.9 * np.log(3 / 4) - 0.1 * np.log(1 / 4) - np.log(1 / 2)
    assert float(smoothed) == pytest.approx(expected / 2, rel=1e-6)


def test_micro_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    labels = (RNG.random((6, 4)) > 0.6).astype(np.float32)
    weights = np.array([1, 1, 0, 2, 1, 1], np.float32)
    metric = MicroF1()
    for rows in (slice(0, 4), slice(4, 6)):
        metric.update_state(labels[rows], LOGITS[rows], weights[rows])

    expected = f1_score(labels, LOGITS > 0, average="micro", sample_weight=weights)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_squared_error_is_in_deviations_of_the_training_values() -> None:
    loss = StandardisedSquaredError(50.0)
    guessed, true = np.array([[100.0], [300.0]]), np.array([[200.0], [300.0]])

    assert float(loss(true, guessed)) == pytest.approx((2**2 + 0) / 2)


def test_sixteen_bit_logits_are_computed_in_float32() -> None:
    half = LOGITS.astype(np.float16)

    loss = SmoothedCrossEntropy()(LABELS, half)

    expected = SmoothedCrossEntropy()(LABELS, half.astype(np.float32))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_examples_of_weight_0_neither_move_the_weights_nor_count_as_hits() -> None:
    from tl.training.fit import compile_classifier

    def fresh() -> keras.Model:
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")]
        )
        compile_classifier(model, keras.optimizers.SGD(0.5))
        return model

    x = RNG.normal(size=(4, 3)).astype(np.float32)
    y = np.array([0, 1, 0, 1], np.int32)
    other_x, other_y = x.copy(), y.copy()
    other_x[2:] = 100 * RNG.normal(size=(2, 3))
    other_y[2:] = 1 - y[2:]
    weights = np.array([1, 1, 0, 0], np.float32)

    first, second = fresh(), fresh()
    here = first.train_on_batch(x, y, weights, return_dict=True)
    there = second.train_on_batch(other_x, other_y, weights, return_dict=True)

    assert here == there
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(first.get_weights()[0], np.ones((3, 2)))
