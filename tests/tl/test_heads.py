"""A head begins undecided, and sees standardised features."""

import keras
import numpy as np
import pytest

from tl.heads import NORM, head_layers, moments_of, set_moments, set_unit, unit_of, value_unit
from tl.problem import Unit


def new_head(n_features: int = 4, n_classes: int = 3) -> keras.Model:
    features = keras.Input((n_features,))
    return keras.Model(features, head_layers(features, n_classes, dropout=0.5))


def test_every_class_is_equally_likely_at_first() -> None:
    features = 1000 * np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)

    assert np.array_equal(np.asarray(new_head()(features)), np.zeros((5, 3)))


def test_standardised_features_have_mean_0_and_variance_1() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal([5, -3, 0, 100], [1, 2, 3, 4], size=(500, 4)).astype(np.float32)
    head = new_head()

    set_moments(head, moments_of([features]))

    seen = np.asarray(head.get_layer(NORM)(features))
    assert seen.mean(axis=0) == pytest.approx(0, abs=1e-3)
    assert seen.std(axis=0) == pytest.approx(1, abs=1e-3)


def test_feature_that_never_varied_in_training_cannot_drown_the_others() -> None:
    features = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    features[:, 2] = 0
    head = new_head()
    set_moments(head, moments_of([features]))

    excited = np.asarray(head.get_layer(NORM)(np.array([[0, 0, 1.0, 0]], np.float32)))

    assert 5 < excited[0, 2] < 15  # a floor of 1 % of the mean variance: about 1 / sqrt(0.0075)


def test_solver_sees_what_the_layer_sees() -> None:
    features = np.random.default_rng(0).normal([5, -3, 0, 100], 2, size=(50, 4)).astype(np.float32)
    moments, head = moments_of([features]), new_head()
    set_moments(head, moments)

    seen = np.asarray(head.get_layer(NORM)(features))

    np.testing.assert_allclose(moments.standardised(features), seen, atol=1e-5)


def test_moments_of_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl.heads.BLOCK", 7)
    features = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)

    found = moments_of([features[:20], features[20:21], features[21:]])

    np.testing.assert_allclose(found.mean, features.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.variance, features.var(axis=0), rtol=1e-5)


def test_quiet_stage_is_not_silenced_by_a_loud_one() -> None:
    features = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    features[:, 2:] *= 0.02

    together = moments_of([features]).standardised(features).std(axis=0)
    apart = moments_of([features], [2, 2]).standardised(features).std(axis=0)

    assert together[2:].max() < 0.4
    assert apart == pytest.approx(1, abs=0.05)


def test_constant_features_stay_finite() -> None:
    head = new_head()
    set_moments(head, moments_of([np.ones((10, 4), np.float32)]))

    assert np.isfinite(np.asarray(head.get_layer(NORM)(np.ones((1, 4), np.float32)))).all()


def test_standardisation_does_not_train() -> None:
    head = new_head()
    seen = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    set_moments(head, moments_of([seen]))
    before = [np.asarray(one) for one in head.get_layer(NORM).weights]
    head.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    head.train_on_batch(9 + np.ones((4, 4), np.float32), np.array([0, 1, 2, 0]))

    for one, other in zip(before, head.get_layer(NORM).weights, strict=True):
        assert np.array_equal(one, np.asarray(other))


def test_logits_are_float32_under_mixed_precision() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert new_head().output.dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


def test_head_of_values_answers_in_their_unit_and_keeps_it_fixed() -> None:
    features = keras.Input((4,))
    head = keras.Model(features, head_layers(features, 1, 0.5, "regression"))
    values = np.array([[1000.0], [3000.0], [9000.0]], np.float32)

    set_unit(head, value_unit("regression", values, np.array([1, 1, 0], np.float32)))

    assert unit_of(head) == Unit(2000.0, 1000.0)
    answer = np.asarray(head(np.ones((2, 4), np.float32)))
    np.testing.assert_allclose(answer, 2000.0)  # a kernel of zeros answers the mean
    assert [variable.path.split("/")[0] for variable in head.trainable_variables] == ["logits"] * 2


def test_loss_follows_a_unit_that_is_given_after_it_was_compiled() -> None:
    from tl.training.fit import compile_classifier

    features = keras.Input((4,))
    head = keras.Model(features, head_layers(features, 1, 0.0, "regression"))
    compile_classifier(head, keras.optimizers.SGD(), problem="regression")

    set_unit(head, Unit(0.0, 50.0))

    inputs, values = np.zeros((1, 4), np.float32), np.array([[100.0]], np.float32)
    shown = head.test_on_batch(inputs, values, return_dict=True)
    assert float(shown["loss"]) == pytest.approx((100 / 50) ** 2)


def test_head_of_classes_has_no_unit() -> None:
    head = new_head()
    before = head.get_weights()

    set_unit(head, value_unit("single_label", np.zeros(3, np.int32), np.ones(3, np.float32)))

    assert unit_of(head) == Unit()
    assert all(map(np.array_equal, before, head.get_weights()))
