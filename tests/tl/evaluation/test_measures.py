"""One figure stands for each problem, and every list of figures names what is there."""

from typing import get_args

import numpy as np
import pytest

from tl.evaluation.measures import MEASURES, Question, headline, headline_line
from tl.problem import Problem

ANSWERS = np.random.default_rng(0).random((8, 6)).astype(np.float32)
TRUTH = {
    "single_label": np.arange(8, dtype=np.int32) % 6,
    "multi_label": (ANSWERS.T.reshape(8, 6) > 0.4).astype(np.float32),
    "regression": np.arange(8, dtype=np.float32)[:, None],
}


@pytest.mark.parametrize("problem", get_args(Problem))
def test_figures_that_are_shown_are_measured(problem: Problem) -> None:
    question = Question(problem, tuple("abcdef"), {"mean": 3.5})

    metrics = MEASURES[problem].metrics(ANSWERS, TRUTH[problem], question, None)

    assert set(MEASURES[problem].shown) <= set(metrics)
    name, value = headline(problem, metrics)
    assert name in MEASURES[problem].shown
    assert value == metrics[name]
    assert headline_line(problem, metrics, "test").startswith(f"{MEASURES[problem].word} ")
    assert " on 8 test pictures, measured on the exported model" in headline_line(
        problem, metrics, "test"
    )


def test_headline_of_numbers_has_its_baseline() -> None:
    metrics = {"mae": 12.3456, "mae_of_training_mean": 40.0, "n_pictures": 1200}

    line = headline_line("regression", metrics, "validation")

    assert line == (
        "error     12.35 on 1,200 validation pictures, measured on the exported model (mean "
        "absolute; 40 for always saying the training mean)"
    )
