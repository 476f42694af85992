"""Distances in feature space: against the formula with a whole matrix, and on other pictures."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tl.evaluation.strangeness import COMMON, fit_strangeness, separation


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (3, 20))
    labels = rng.integers(0, 3, 600)
    return centres[labels] + 0.3 * rng.normal(0, 1, (600, 20)), labels


def test_distance_is_that_of_the_whole_covariance(
    features: tuple[np.ndarray, np.ndarray],
) -> None:
    known, labels = features
    fitted = fit_strangeness(known[:400], labels[:400], known[400:])
    scores = fitted.scores(known[400:410])

    covariance = np.eye(20) * fitted.noise
    for direction, share in zip(fitted.directions, fitted.shares, strict=True):
        variance = 1 / (1 / fitted.noise - share)
        covariance += (variance - fitted.noise) * np.outer(direction, direction)
    inverse = np.linalg.inv(covariance)
    for row, score in zip(unit(known[400:410]), scores, strict=True):
        distances = [(row - mean) @ inverse @ (row - mean) for mean in fitted.means]
        assert score == pytest.approx(min(distances) / fitted.unit, rel=1e-3)


def test_most_known_pictures_are_below_1_and_others_above(
    features: tuple[np.ndarray, np.ndarray],
) -> None:
    known, labels = features
    fitted = fit_strangeness(known[:400], labels[:400], known[400:])
    inside = fitted.scores(known[400:])
    outside = fitted.scores(np.random.default_rng(1).normal(0, 1, (200, 20)))

    assert (inside <= 1.0000001).mean() == pytest.approx(COMMON, abs=0.01)
    assert separation(inside, outside) > 0.99


def test_length_of_the_features_does_not_count(features: tuple[np.ndarray, np.ndarray]) -> None:
    known, labels = features
    fitted = fit_strangeness(known[:400], labels[:400], known[400:])
    assert fitted.scores(7 * known[:5]) == pytest.approx(fitted.scores(known[:5]))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_pictures_give_numbers(count: int) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(0, 1, (count, 8))
    fitted = fit_strangeness(rows, np.arange(count), rows)
    assert np.isfinite(fitted.scores(rng.normal(0, 1, (4, 8)))).all()


def test_several_labels_are_one_group(features: tuple[np.ndarray, np.ndarray]) -> None:
    known, _ = features
    assert fit_strangeness(known, None, known).means.shape == (1, 20)


def test_separation_is_the_area_under_the_curve() -> None:
    rng = np.random.default_rng(3)
    inside, outside = rng.integers(0, 5, 60).astype(float), rng.integers(2, 8, 40).astype(float)
    truth = np.repeat([0, 1], [60, 40])
    assert separation(inside, outside) == pytest.approx(
        roc_auc_score(truth, np.concatenate([inside, outside]))
    )
