"""Curves have the ends and areas of scikit-learn's, however few of their points are kept."""

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from tl.evaluation.curves import POINTS, class_curves


def test_area_under_the_thinned_curve_is_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 3000)
    answers = rng.dirichlet([1, 1, 1], 3000)
    answers[np.arange(3000), truth] += 0.3

    curves = class_curves(answers, truth, ("a", "b", "c"))

    assert set(curves) == {"a", "b", "c"}
    for label, one in enumerate(curves.values()):
        assert len(one["roc"]) <= POINTS
        assert one["roc"][0] == [0, 0]
        assert one["roc"][-1] == [1, 1]
        assert one["roc_auc"] == roc_auc_score(truth == label, answers[:, label])
        assert auc(*zip(*one["roc"], strict=True)) == pytest.approx(one["roc_auc"], abs=0.01)
        assert one["precision_recall"][0][0] == 0
        assert one["precision_recall"][-1][0] == 1


@pytest.mark.parametrize("count", [6, 40, 110, 400])
def test_curve_of_a_good_model_on_few_pictures_keeps_its_corners(count: int) -> None:
    rng = np.random.default_rng(count)
    truth = np.arange(count) % 3
    answers = rng.dirichlet([1, 1, 1], count)
    answers[np.arange(count), truth] += 0.6  # nearly always the largest

    for label, one in enumerate(class_curves(answers, truth, ("a", "b", "c")).values()):
        area = auc(*zip(*one["roc"], strict=True))
        assert area == pytest.approx(one["roc_auc"], abs=0.003)
        precision, recall, _ = precision_recall_curve(truth == label, answers[:, label])
        kept = auc(*zip(*one["precision_recall"], strict=True))
        assert kept == pytest.approx(auc(recall, precision), abs=0.01)


def test_classes_without_pictures_or_without_others_have_no_curve() -> None:
    answers = np.array([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
    assert set(class_curves(answers, np.array([0, 1]), ("a", "b", "c"))) == {"a", "b"}
    several = np.array([[1, 0, 1], [1, 1, 0]], np.float32)
    assert set(class_curves(answers, several, ("a", "b", "c"))) == {"b", "c"}
