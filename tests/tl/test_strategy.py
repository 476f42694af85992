"""A strategy is a list of phases after the head."""

import pytest

from tl.config import TrainingConfig
from tl.strategy import Phase, choose_phases

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
