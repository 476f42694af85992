"""Settings that mean nothing for a problem are refused, with the reason."""

from typing import Any

import pytest

from tl.config_reading import read_config
from tl.errors import ConfigError
from tl.problem import Problem, refuse_without_meaning

ANY = {"data.shots": 3, "training.balance": "sampling", "training.label_smoothing": 0.1,
       "augment.cutmix": 1.0, "augment.mixup": 0.2}  # fmt: skip
REFUSED = {
    "single_label": set(),
    "multi_label": {"training.balance"},
    "regression": {
        "data.shots",
        "training.balance",
        "training.label_smoothing",
        "augment.cutmix",
    },
}


@pytest.mark.parametrize("problem", REFUSED)
@pytest.mark.parametrize("setting", ANY.items(), ids=lambda one: one[0])
def test_settings_are_refused_where_they_mean_nothing(
    problem: Problem, setting: tuple[str, Any]
) -> None:
    key, value = setting
    settings = read_config(None, (), {"dataset": "any", key: value}).flat()

    if key in REFUSED[problem]:
        with pytest.raises(ConfigError, match=f"{key} = {value!r} means nothing .* {problem}: "):
            refuse_without_meaning(problem, settings)
    else:
        refuse_without_meaning(problem, settings)


@pytest.mark.parametrize("problem", REFUSED)
def test_defaults_suit_every_problem(problem: Problem) -> None:
    refuse_without_meaning(problem, read_config(None, (), {"dataset": "any"}).flat())
