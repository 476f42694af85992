"""What kind of answer a picture gets: one class, several classes, or a number.

The names are those of scikit-learn and Hugging Face. What differs is looked up by them in one
table a layer: `tl.data.answers` (columns), `tl.training.objectives` (of the solved head),
`tl.training.losses` (of fine-tuning), `tl.evaluation.measures` (metrics), `tl.export.graph`
(outputs).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tl.errors import ConfigError

Problem = Literal["single_label", "multi_label", "regression"]
LOWER_IS_BETTER = frozenset(
    {"mae", "rmse", "log_loss", "brier_score", "expected_calibration_error", "hamming_loss"}
)
"""Figures of which less is better; of all others more is."""


@dataclass(frozen=True, slots=True)
class Unit:
    """How values to be learned are scaled: networks learn well what has mean 0 and deviation 1.

    Attributes:
        mean: of the training values, weighted.
        deviation: standard deviation of them, above 0.
    """

    mean: float = 0.0
    deviation: float = 1.0


_NO_CLASSES = "numbers have no classes"
_WITHOUT_MEANING: Mapping[Problem, Mapping[str, str]] = {
    "single_label": {},
    "multi_label": {
        "training.balance": "a picture of a rare and of a common class cannot have both their "
        "weights",
    },
    "regression": {
        "data.shots": _NO_CLASSES,
        "training.balance": _NO_CLASSES,
        "training.label_smoothing": _NO_CLASSES,
        "augment.cutmix": "a pasted rectangle does not change a value by its area; use "
        "augment.mixup",
    },
}


def refuse_without_meaning(problem: Problem, settings: Mapping[str, Any]) -> None:
    """Refuse settings that mean nothing for a problem.

    Args:
        problem: what is to be learned.
        settings: values by dotted key; None, 0 and ``none`` are not set.

    Raises:
        ConfigError: with the key, the value and the reason.
    """
    for key, reason in _WITHOUT_MEANING[problem].items():
        if (value := settings.get(key)) not in (None, 0, "none"):
            raise ConfigError(
                f"{key} = {value!r} means nothing where the problem is {problem}: {reason}. Leave "
                "it out"
            )
