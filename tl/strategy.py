"""Which layers are fine-tuned, when, at what rate: a choice as data; `tl.training.tuning` acts.

The head always comes before, on the features of the frozen backbone; fine-tuning starts from it
(LP-FT, Kumar et al. 2022), because a random head's gradients would destroy what was pretrained.
"""

from dataclasses import dataclass

from tl.config import TrainingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of fine-tuning with one optimizer.

    Attributes:
        name: for reports.
        n_stages: how many of the backbone's last stages learn, beside the head; None for all.
        epochs: upper bound.
        learning_rate: peak.
    """

    name: str
    n_stages: int | None
    epochs: int
    learning_rate: float


def choose_phases(training: TrainingConfig) -> tuple[Phase, ...]:
    """Return what comes after the head, in order."""
    if training.strategy in ("features", "stages"):
        return ()
    return (
        Phase(
            name=f"fine-tune {training.strategy}",
            n_stages=training.last_stages if training.strategy == "last" else None,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
        ),
    )
