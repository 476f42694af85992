"""A strategy is a list of phases after the head."""

from typing import Any

import pytest

from tl.config import TrainingConfig
from tl.strategy import LITTLE, Evidence, Phase, choose_phases, decide

RATES = {"learning_rate": 0.1, "epochs": 7}


def test_features_trains_the_head_only() -> None:
    training = TrainingConfig(strategy="features", **RATES)  # type: ignore[arg-type]

    assert choose_phases(training) == ()


@pytest.mark.parametrize(("strategy", "n_stages"), [("last", 2), ("all", None)])
def test_fine_tuning_starts_from_a_trained_head(strategy: str, n_stages: int | None) -> None:
    training = TrainingConfig(strategy=strategy, last_stages=2, **RATES)  # type: ignore[arg-type]

    assert choose_phases(training) == (
        Phase(name=f"fine-tune {strategy}", n_stages=n_stages, epochs=7, learning_rate=0.1),
    )


def evidence(pictures: float, gain: float, **changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "pictures_per_class": pictures, "score_name": "accuracy", "last_score": 0.8,
        "best_taps": (0, 1, 2), "best_score": 0.9, "gain": gain, "gain_error": 0.02,
        "epoch_seconds": {"features": 0.0, "stages": 0.0, "last": 3.0, "all": 10.0}, **changes,
    }  # fmt: skip
    return Evidence(**values)


@pytest.mark.parametrize(
    ("pictures", "gain", "strategy"),
    [
        (LITTLE - 1, 0.0, "features"),
        (LITTLE - 1, 0.03, "features"),  # within the error
        (LITTLE - 1, 0.3, "stages"),
        (LITTLE, 0.0, "last"),
        (LITTLE, 0.3, "all"),
    ],
)
def test_each_cell_of_the_guideline_has_its_strategy(
    pictures: float, gain: float, strategy: str
) -> None:
    decision = decide(evidence(pictures, gain), epochs=15)

    assert decision.strategy == strategy
    assert decision.reads_stages == (gain == 0.3)
    assert decision.epochs == (15 if strategy in ("last", "all") else 0)
    phases = choose_phases(TrainingConfig(strategy="auto", **RATES), decision)  # type: ignore[arg-type]
    assert [one.epochs for one in phases] == ([15] if strategy in ("last", "all") else [])


@pytest.mark.parametrize(("left", "epochs"), [(1000.0, 15), (47.0, 4), (9.0, 0), (-5.0, 0)])
def test_fine_tuning_takes_the_time_that_is_left(left: float, epochs: int) -> None:
    decision = decide(evidence(500, 0.3, seconds_left=left), epochs=15)

    assert decision.strategy == "all"
    assert decision.epochs == epochs
    phases = choose_phases(TrainingConfig(strategy="auto"), decision)
    assert len(phases) == (epochs > 0)
