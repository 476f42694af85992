"""Figures worked by hand, and agreement with scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from tl.evaluation.metrics import classification_metrics

NAMES = ("ash", "elm", "oak")
# Predicted: ash, elm, elm, ash, elm. True: ash, ash, elm, elm, elm. No oak anywhere.
PROBABILITIES = np.array(
    [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.25, 0.5, 0.25], [0.8, 0.1, 0.1], [0.0, 1.0, 0.0]],
    np.float32,
)
LABELS = [0, 0, 1, 1, 1]


def test_figures_are_those_worked_by_hand() -> None:
    metrics = classification_metrics(PROBABILITIES, LABELS, NAMES)

    assert metrics["n_pictures"] == 5
    assert metrics["confusion"] == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert metrics["top_1_accuracy"] == pytest.approx(3 / 5)
    assert metrics["per_class"]["ash"] == {
        "precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "n_pictures": 2
    }  # fmt: skip
    elm = metrics["per_class"]["elm"]
    assert [elm["precision"], elm["recall"], elm["f1"]] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert metrics["per_class"]["oak"] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "n_pictures": 0
    }  # fmt: skip
    assert metrics["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # of the classes present
    # -ln of 0.5, 0.2, 0.5, 0.1 and 1.
    assert metrics["log_loss"] == pytest.approx(
        (0.693147 + 1.609438 + 0.693147 + 2.302585 + 0) / 5, abs=1e-5
    )
    assert "top_5_accuracy" not in metrics


def test_top_5_counts_pictures_whose_class_is_among_the_best_five() -> None:
    probabilities = np.tile(np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05], np.float32), (7, 1))

    metrics = classification_metrics(probabilities, range(7), tuple("abcdefg"))

    assert metrics["top_1_accuracy"] == pytest.approx(1 / 7)
    assert metrics["top_5_accuracy"] == pytest.approx(5 / 7)


def test_probability_of_zero_is_a_large_but_finite_loss() -> None:
    metrics = classification_metrics(np.array([[0.0, 1.0]], np.float32), [0], ("a", "b"))

    assert metrics["log_loss"] == pytest.approx(-np.log(1e-15))


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, list[int], tuple[str, ...]]:
    n_classes = draw(st.integers(2, 9))
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    logits = rng.normal(size=(n, n_classes)) * draw(st.floats(0.1, 3))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = rng.integers(0, n_classes, n).tolist()
    return probabilities, labels, tuple(f"class {number}" for number in range(n_classes))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(answers())
def test_figures_agree_with_scikit_learn(
    case: tuple[np.ndarray, list[int], tuple[str, ...]],
) -> None:
    probabilities, labels, names = case
    predicted = probabilities.argmax(axis=1)
    every = list(range(len(names)))

    metrics = classification_metrics(probabilities, labels, names)

    assert metrics["confusion"] == confusion_matrix(labels, predicted, labels=every).tolist()
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    for index, name in enumerate(names):
        row = metrics["per_class"][name]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(
            [precision[index], recall[index], f1[index]]
        )
        assert row["n_pictures"] == support[index]
    assert metrics["macro_f1"] == pytest.approx(f1[support > 0].mean())
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert metrics["log_loss"] == pytest.approx(
        log_loss(labels, exact, labels=every), rel=1e-4, abs=1e-6
    )
    if len(names) > 5:
        best = np.argsort(-probabilities, axis=1)[:, :5]
        hits = [label in row for label, row in zip(labels, best, strict=True)]
        assert metrics["top_5_accuracy"] == pytest.approx(np.mean(hits))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(answers(), st.randoms(use_true_random=False))
def test_order_of_the_pictures_does_not_matter(
    case: tuple[np.ndarray, list[int], tuple[str, ...]],
    random: "object",
) -> None:
    probabilities, labels, names = case
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]

    here = classification_metrics(probabilities, labels, names)
    there = classification_metrics(probabilities[order], [labels[i] for i in order], names)

    intervals = [key for key in here if key.endswith("_interval")]
    assert "top_1_accuracy_interval" in intervals
    for key in intervals:  # of samples, and others come up
        del here[key], there[key]
    assert here.pop("per_class") == there.pop("per_class")
    assert here.pop("confusion") == there.pop("confusion")
    assert here == pytest.approx(there)
