"""Areas under curves are scikit-learn's, of pictures that count once, several times, or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tl.evaluation.metrics import MOST_SAMPLED, classification_metrics
from tl.evaluation.one_against_others import average_precision_of, mean_of_known, roc_auc_of

CASES = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40
)


@given(CASES)
def test_areas_of_samples_are_those_of_scikit_learn(cases: list[tuple[int, bool, int]]) -> None:
    scores, true, times = (np.array(column) for column in zip(*cases, strict=True))
    weights = times[None, :].astype(float)
    precision = average_precision_of(scores.astype(float), true)(weights)[0]
    area = roc_auc_of(scores.astype(float), true)(weights)[0]
    here, elsewhere = times[true].sum(), times[~true].sum()
    if here:
        expected = average_precision_score(np.repeat(true, times), np.repeat(scores, times))
        assert precision == pytest.approx(expected)
    else:
        assert np.isnan(precision)
    if here and elsewhere:
        expected = roc_auc_score(np.repeat(true, times), np.repeat(scores, times))
        assert area == pytest.approx(expected)
    else:
        assert np.isnan(area)


def test_mean_is_of_the_classes_that_a_sample_has() -> None:
    true = np.array([True, False, False, False])
    one, other = roc_auc_of(np.array([3.0, 2, 1, 4]), true), roc_auc_of(np.arange(4.0), ~true)
    weights = np.array([[1.0, 1, 1, 1], [0, 1, 1, 1]])
    assert mean_of_known([one, other])(weights) == pytest.approx([(2 / 3 + 1) / 2, 0])


def test_figures_that_stand_in_the_table_have_intervals() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    answers = rng.dirichlet([1, 1, 1], 200).astype(np.float32)
    answers[np.arange(200), truth] += 0.2
    metrics = classification_metrics(answers, truth.tolist(), "abc")
    for name in ("roc_auc", "average_precision"):
        low, high = metrics[f"{name}_interval"]
        assert low < metrics[name] < high
        assert high - low < 0.15
    many = np.tile(answers, (MOST_SAMPLED // 600 + 1, 1))
    metrics = classification_metrics(many, np.tile(truth, len(many) // 200).tolist(), "abc")
    assert "roc_auc_interval" not in metrics
    assert 0.5 < metrics["roc_auc"] < 1
