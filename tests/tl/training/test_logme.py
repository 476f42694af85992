"""The evidence is what its definition says, and ranks features by what they know."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from tl.training.logme import logme

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("rows", "width"), [(30, 4), (12, 20)])
def test_it_is_the_largest_log_evidence_of_the_bayesian_model(rows: int, width: int) -> None:
    """By the definition: y ~ N(0, X X^T / alpha + I / beta), the best of all alpha and beta."""
    x = RNG.normal(size=(rows, width))
    y = x @ RNG.normal(size=width) + RNG.normal(size=rows)

    def minus_evidence(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = x @ x.T / alpha + np.eye(rows) / beta
        return -float(multivariate_normal(np.zeros(rows), covariance).logpdf(y))

    best = min(
        minimize(minus_evidence, start, method="Nelder-Mead", options={"xatol": 1e-6}).fun
        for start in ([0.0, 0.0], [1.0, -1.0], [-1.0, 1.0])
    )

    assert logme(x, y[:, None]) == pytest.approx(-best / rows, abs=1e-3)


def test_features_that_know_the_labels_rank_before_those_that_do_not() -> None:
    labels = RNG.integers(0, 3, 300)
    one_hot = np.eye(3)[labels]
    scores = []
    for noise in (0.2, 1.0, 5.0):
        knowing = one_hot @ RNG.normal(size=(3, 16)) + noise * RNG.normal(size=(300, 16))
        scores.append(logme(knowing, one_hot))
    blind = logme(RNG.normal(size=(300, 16)), one_hot)

    assert scores[0] > scores[1] > scores[2] > blind - 0.02
    assert scores[1] > blind


def test_more_features_that_know_nothing_do_not_help() -> None:
    labels = RNG.integers(0, 2, 60)
    one_hot = np.eye(2)[labels]
    knowing = one_hot @ RNG.normal(size=(2, 4)) + 0.5 * RNG.normal(size=(60, 4))
    noise = RNG.normal(size=(60, 200))

    assert logme(knowing, one_hot) > logme(noise, one_hot) + 0.1


def test_constant_features_and_perfect_ones_give_numbers() -> None:
    one_hot = np.eye(2)[RNG.integers(0, 2, 20)]

    assert np.isfinite(logme(np.ones((20, 3)), one_hot))
    assert np.isfinite(logme(np.zeros((20, 3)), one_hot))
    assert np.isfinite(logme(one_hot, one_hot))


@pytest.mark.parametrize("rows", [40, 8])
def test_silent_and_repeated_features_add_nothing_but_their_prior(rows: int) -> None:
    """Directions that are not there count in alpha's power only, however they come about."""
    x = RNG.normal(size=(rows, 10))
    y = x @ RNG.normal(size=(10, 1)) + RNG.normal(size=(rows, 1))
    repeated = np.concatenate([x, x, np.zeros((rows, 10))], axis=1)
    scaled = np.concatenate([x * np.sqrt(2), np.zeros((rows, 20))], axis=1)

    assert logme(repeated, y) == pytest.approx(logme(scaled, y), abs=1e-6)
