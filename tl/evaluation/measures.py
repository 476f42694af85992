"""How answers are measured, problem by problem, and the one figure that stands for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.metrics import classification_metrics
from tl.evaluation.multi_label import multi_label_metrics
from tl.evaluation.regression import regression_metrics
from tl.evaluation.score_interval import Groups
from tl.problem import Problem


@dataclass(frozen=True, slots=True)
class Question:
    """What a model was taught to answer.

    Attributes:
        problem: the kind of answer.
        class_names: in label order; of values, the name of what they measure.
        training_values: mean and others of the values learned from; empty for classes.
    """

    problem: Problem
    class_names: tuple[str, ...]
    training_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """How the answers to one problem are measured.

    Attributes:
        metrics: of answers (n, width), targets as `tl.data.example.stack_targets` gives them,
            the question, and the numbers of the pictures' groups or None.
        headline: key of the metric that stands for all.
        word: what people call it, nine letters at most.
        shown: keys for people, in their order.
        note: what to hold the headline against, or nothing.
    """

    metrics: Callable[[NDArray[np.float32], NDArray[Any], Question, Groups], dict[str, Any]]
    headline: str
    word: str
    shown: Sequence[str]
    note: Callable[[Mapping[str, Any]], str]


MEASURES: Mapping[Problem, Measure] = {
    "single_label": Measure(
        metrics=lambda answers, truth, question, groups: classification_metrics(
            answers, truth.tolist(), question.class_names, groups
        ),
        headline="top_1_accuracy",
        word="accuracy",
        shown=("top_1_accuracy", "top_5_accuracy", "macro_f1", "log_loss"),
        note=lambda metrics: "",
    ),
    "multi_label": Measure(
        metrics=lambda answers, truth, question, groups: multi_label_metrics(
            answers, truth, question.class_names, groups
        ),
        headline="mean_average_precision",
        word="mAP",
        shown=(
            "mean_average_precision",
            "chance_average_precision",
            "micro_f1",
            "macro_f1",
            "exact_match",
            "hamming_loss",
        ),
        note=lambda metrics: f" ({metrics['chance_average_precision']:.3f} by chance)",
    ),
    "regression": Measure(
        metrics=lambda answers, truth, question, groups: regression_metrics(
            answers[:, 0], truth[:, 0], question.training_values["mean"], groups
        ),
        headline="mae",
        word="error",
        shown=("mae", "mae_of_training_mean", "rmse", "rmse_of_training_mean", "r2"),
        note=lambda metrics: (
            f" (mean absolute; {metrics['mae_of_training_mean']:.4g} for always "
            "saying the training mean)"
        ),
    ),
}


def headline(problem: Problem, metrics: Mapping[str, Any]) -> tuple[str, float]:
    """Return name and value of the figure that stands for all metrics of a model."""
    name = MEASURES[problem].headline
    return name, float(metrics[name])


def headline_line(problem: Problem, metrics: Mapping[str, Any], side: str) -> str:
    """Return one line for people.

    Args:
        problem: of the model.
        metrics: of it.
        side: what the pictures that it was measured on are called.
    """
    measure, (_, value) = MEASURES[problem], headline(problem, metrics)
    figure = f"{value:.4g}" if problem == "regression" else f"{value:.3f}"
    return (
        f"{measure.word:<8}  {figure} on {metrics['n_pictures']:,} {side} pictures, measured on "
        f"the exported model{measure.note(metrics)}"
    )
