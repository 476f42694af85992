"""The head's solver against an independent one, and what its path promises."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tl.training.probe import Solution, Table, measure, solve_path


def blobs(rows: int = 200, n_features: int = 6, n_classes: int = 3, seed: int = 0) -> Table:
    """Overlapping classes of mean 0 and variance 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, rows).astype(np.int32)
    centres = rng.standard_normal((n_classes, n_features))
    features = centres[labels] + 1.5 * rng.standard_normal((rows, n_features))
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    return Table(features.astype(np.float32), labels, np.ones(rows, np.float32))


def solve(table: Table, *penalties: float, smoothing: float = 0.0) -> list[Solution]:
    return list(solve_path(table, int(table.labels.max()) + 1, penalties, smoothing))


def probabilities(solution: Solution, table: Table) -> NDArray[np.float64]:
    logits = solution.logits(table.features).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return result


@pytest.mark.parametrize("penalty", [0.3, 0.01])
@pytest.mark.parametrize("weighted", [False, True])
def test_solution_is_the_one_of_scikit_learn(penalty: float, weighted: bool) -> None:
    table = blobs()
    if weighted:
        weights = np.random.default_rng(1).uniform(0, 3, len(table)).astype(np.float32)
        table = Table(table.features, table.labels, weights)

    (found,) = solve(table, penalty)

    # There the penalty is one and the losses are summed, times C.
    other = LogisticRegression(C=1 / (penalty * table.weights.sum()), tol=1e-8, max_iter=10_000)
    other.fit(table.features, table.labels, sample_weight=table.weights)
    np.testing.assert_allclose(
        probabilities(found, table), other.predict_proba(table.features), atol=3e-3
    )


def test_gradient_is_zero_at_the_solution() -> None:
    table = blobs(n_classes=4)
    (found,) = solve(table, 0.05, smoothing=0.1)
    shares = np.full((len(table), 4), 0.1 / 4)
    shares[np.arange(len(table)), table.labels] += 0.9

    slope = (probabilities(found, table) - shares) / len(table)

    assert np.abs(table.features.T @ slope + 0.05 * found.kernel).max() < 1e-3
    assert np.abs(slope.sum(axis=0)).max() < 1e-3


def test_path_ends_where_its_last_penalty_alone_would() -> None:
    table = blobs()

    path = solve(table, 1.0, 0.3, 0.1, 0.03)
    (alone,) = solve(table, 0.03)

    assert [one.penalty for one in path] == [1.0, 0.3, 0.1, 0.03]
    np.testing.assert_allclose(
        probabilities(path[-1], table), probabilities(alone, table), atol=3e-3
    )
    norms = [float(np.square(one.kernel).sum()) for one in path]
    assert norms == sorted(norms)


def test_row_of_weight_0_changes_nothing() -> None:
    table = blobs()
    wrong = np.concatenate([table.labels, (table.labels[:50] + 1) % 3]).astype(np.int32)
    padded = Table(
        np.concatenate([table.features, 9 * table.features[:50]]),
        wrong,
        np.concatenate([table.weights, np.zeros(50, np.float32)]),
    )

    (plain,), (other,) = solve(table, 0.1), solve(padded, 0.1)

    np.testing.assert_allclose(plain.kernel, other.kernel, atol=2e-3)


def test_features_of_any_size_do_not_overflow() -> None:
    table = blobs()
    huge = Table(table.features * np.float32(1e6), table.labels, table.weights)

    for found in solve(huge, 1.0, 1e-6):
        assert np.isfinite(found.kernel).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_measures_are_those_of_keras(smoothing: float) -> None:
    import keras

    from tl.training.fit import compile_classifier

    table = blobs(64)
    weights = np.random.default_rng(2).uniform(0, 2, 64).astype(np.float32)
    logits = np.random.default_rng(3).standard_normal((64, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    compile_classifier(model, keras.optimizers.SGD(), smoothing)

    loss, accuracy = measure(logits, table.labels, weights, smoothing)

    shown = model.evaluate(logits, table.labels, sample_weight=weights, verbose=0, batch_size=64,
                           return_dict=True)  # fmt: skip
    assert loss == pytest.approx(shown["loss"], rel=1e-5)
    assert accuracy == pytest.approx(shown["accuracy"], rel=1e-5)
