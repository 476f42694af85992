"""The head's solver against an independent one, and what its path promises."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from tl.problem import Problem, Unit
from tl.training.objectives import objective_of
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
    n_classes = int(table.labels.max()) + 1
    objective = objective_of("single_label", n_classes, Unit())
    return list(solve_path(table, n_classes, penalties, objective, smoothing))


def probabilities(solution: Solution, table: Table) -> NDArray[np.float64]:
    logits = solution.outputs(table.features).astype(np.float64)
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


def several(rows: int = 200, seed: int = 0) -> Table:
    """Three classes of which a picture may have none, some or all."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, 5)).astype(np.float32)
    chances = features @ rng.standard_normal((5, 3)) + rng.standard_normal((rows, 3)) + (-1, 0, 1)
    return Table(features, (chances > 0).astype(np.float32), np.ones(rows, np.float32))


def values(rows: int = 200, seed: int = 0) -> Table:
    """Values in the thousands that follow the features, with noise."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, 5)).astype(np.float32)
    truth = 7000 + 300 * (features @ rng.standard_normal((5, 1)) + rng.standard_normal((rows, 1)))
    weights = rng.uniform(0.2, 2, rows)
    return Table(features, truth.astype(np.float32), weights.astype(np.float32))


def unit_of(table: Table) -> Unit:
    mean = np.average(table.labels[:, 0], weights=table.weights)
    return Unit(float(mean), float(table.labels.std()))


def test_each_of_several_classes_is_solved_as_if_it_were_alone() -> None:
    table = several()

    # The loss is the mean over three classes, so each has a third of it.
    (found,) = solve_path(table, 3, [0.02 / 3], objective_of("multi_label", 3, Unit()))

    for label in range(3):
        other = LogisticRegression(C=1 / (0.02 * len(table)), tol=1e-8, max_iter=10_000)
        other.fit(table.features, table.labels[:, label])
        chance = 1 / (1 + np.exp(-found.outputs(table.features)[:, label]))
        np.testing.assert_allclose(chance, other.predict_proba(table.features)[:, 1], atol=3e-3)


@pytest.mark.parametrize("penalty", [1.0, 0.03])
def test_values_are_solved_by_ridge_regression(penalty: float) -> None:
    table = values()
    unit = unit_of(table)

    (found,) = solve_path(table, 1, [penalty], objective_of("regression", 1, unit))

    # There the squares are summed and the penalty is not halved.
    other = Ridge(alpha=penalty * float(table.weights.sum()) / 2)
    other.fit(table.features, table.labels[:, 0], sample_weight=table.weights)
    expected = (other.predict(table.features) - unit.mean) / unit.deviation
    np.testing.assert_allclose(found.outputs(table.features)[:, 0], expected, atol=3e-3)


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_slopes_are_those_of_the_losses(problem: Problem, smoothing: float) -> None:
    rng = np.random.default_rng(0)
    width = 1 if problem == "regression" else 4
    objective = objective_of(problem, width, Unit(2.0, 3.0))
    outputs = rng.standard_normal((6, width)).astype(np.float32)
    labels = {
        "single_label": np.array([0, 1, 2, 3, 0, 1], np.int32),
        "multi_label": (rng.random((6, 4)) > 0.5).astype(np.float32),
        "regression": rng.standard_normal((6, 1)).astype(np.float32),
    }[problem]
    wanted = objective.wanted(labels, smoothing)

    _, slopes = objective.losses(outputs, wanted)

    for column in range(width):
        step = np.zeros((1, width), np.float32)
        step[0, column] = 1e-2
        high, low = (objective.losses(outputs + sign * step, wanted)[0] for sign in (1, -1))
        np.testing.assert_allclose(slopes[:, column], (high - low) / 2e-2, atol=1e-3)


def test_gradient_is_zero_at_the_solution() -> None:
    table = blobs(n_classes=4)
    (found,) = solve(table, 0.05, smoothing=0.1)
    shares = np.full((len(table), 4), 0.1 / 4)
    shares[np.arange(len(table)), table.labels] += 0.9

    slope = (probabilities(found, table) - shares) / len(table)

    assert np.abs(table.features.T @ slope + 0.05 * found.layers[0][0]).max() < 1e-3
    assert np.abs(slope.sum(axis=0)).max() < 1e-3


def test_path_ends_where_its_last_penalty_alone_would() -> None:
    table = blobs()

    path = solve(table, 1.0, 0.3, 0.1, 0.03)
    (alone,) = solve(table, 0.03)

    assert [one.penalty for one in path] == [1.0, 0.3, 0.1, 0.03]
    np.testing.assert_allclose(
        probabilities(path[-1], table), probabilities(alone, table), atol=3e-3
    )
    norms = [float(np.square(one.layers[0][0]).sum()) for one in path]
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

    np.testing.assert_allclose(plain.layers[0][0], other.layers[0][0], atol=2e-3)


def test_features_of_any_size_do_not_overflow() -> None:
    table = blobs()
    huge = Table(table.features * np.float32(1e6), table.labels, table.weights)

    for found in solve(huge, 1.0, 1e-6):
        assert np.isfinite(found.layers[0][0]).all()


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_measures_are_those_of_keras(problem: Problem, smoothing: float) -> None:
    import keras

    from tl.heads import UNIT, head_layers
    from tl.heads import unit_of as unit_of_head
    from tl.training.fit import compile_classifier
    from tl.training.progress import SCORES

    tables = {"single_label": blobs(64), "multi_label": several(64), "regression": values(64)}
    table = tables[problem]
    width = 1 if problem == "regression" else 3
    weights = np.random.default_rng(2).uniform(0, 2, 64).astype(np.float32)
    features = keras.Input((table.features.shape[1],))
    head = keras.Model(features, head_layers(features, width, 0.5, problem))
    kernel = np.random.default_rng(3).standard_normal((table.features.shape[1], width))
    head.get_layer("logits").set_weights([kernel, np.zeros(width)])
    if problem == "regression":
        head.get_layer(UNIT).set_weights([np.array([[300.0]]), np.array([7000.0])])
    compile_classifier(head, keras.optimizers.SGD(), smoothing, problem)
    objective = objective_of(problem, width, unit_of_head(head))
    norm = head.get_layer("head_norm")
    seen = np.asarray(norm(table.features))

    loss, score = measure(
        (seen @ kernel).astype(np.float32), table.labels, weights, objective, smoothing
    )

    shown = head.evaluate(table.features, table.labels, sample_weight=weights, verbose=0,
                          batch_size=64, return_dict=True)  # fmt: skip
    assert loss == pytest.approx(shown["loss"], rel=1e-4)
    assert score == pytest.approx(shown[objective.score_name], rel=1e-4)
    assert objective.score_name in SCORES


def rings(rows: int = 300, seed: int = 0) -> Table:
    """Two classes, one around the other: no line divides them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows).astype(np.int32)
    angle = rng.uniform(0, 2 * np.pi, rows)
    radius = np.where(labels == 1, 2.0, 0.7) + 0.2 * rng.standard_normal(rows)
    features = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return Table(features.astype(np.float32), labels, np.ones(rows, np.float32))


def test_hidden_layer_learns_what_no_linear_head_can() -> None:
    training, held_out = rings(), rings(seed=1)
    objective = objective_of("single_label", 2, Unit())

    def accuracy(hidden: int) -> float:
        (found,) = solve_path(training, 2, [1e-3], objective, hidden=hidden)
        outputs = found.outputs(held_out.features)
        return measure(outputs, held_out.labels, held_out.weights, objective)[1]

    assert accuracy(0) < 0.7
    assert accuracy(16) > 0.97


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_hidden_layer_answers_as_the_keras_head_does(problem: Problem) -> None:
    import keras

    from tl.heads import head_layers, moments_of, set_layers, set_moments, set_unit

    table = {"single_label": blobs(64), "multi_label": several(64), "regression": values(64)}[
        problem
    ]
    width = 1 if problem == "regression" else 3
    unit = Unit(7000.0, 300.0) if problem == "regression" else Unit()
    moments = moments_of([table.features])
    seen = Table(moments.standardised(table.features), table.labels, table.weights)
    (found,) = solve_path(seen, width, [1e-3], objective_of(problem, width, unit), hidden=8)
    features = keras.Input((table.features.shape[1],))
    head = keras.Model(features, head_layers(features, width, 0.5, problem, hidden=8))
    set_moments(head, moments)
    set_unit(head, unit)
    set_layers(head, found.layers)

    answers = np.asarray(head(table.features))

    expected = found.outputs(seen.features) * unit.deviation + unit.mean
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-3)


def test_gradient_of_a_hidden_layer_is_the_slope_of_its_loss() -> None:
    from scipy import optimize

    table = blobs(40, n_classes=3)
    objective = objective_of("single_label", 3, Unit())
    asked: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:

        def note(function: Any, start: Any, args: Any, **_: Any) -> Any:
            asked.append((function, start, args))
            return real(function, start, args=args, **_)

        real = optimize.minimize
        patch.setattr(optimize, "minimize", note)
        list(solve_path(table, 3, [0.05], objective, 0.1, hidden=4))
    function, start, args = asked[0]
    rng = np.random.default_rng(0)
    place = start + 0.3 * rng.standard_normal(len(start))
    _, gradient = function(place, *args)
    for direction in rng.standard_normal((5, len(start))):
        high, low = (function(place + sign * 1e-3 * direction, *args)[0] for sign in (1, -1))
        assert gradient @ direction == pytest.approx((high - low) / 2e-3, rel=2e-2, abs=1e-3)
