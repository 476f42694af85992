"""Which layers are fine-tuned, when, at what rate: a choice as data; `tl.training.tuning` acts.

The head always comes before, on the features of the frozen backbone; fine-tuning starts from it
(LP-FT, Kumar et al. 2022), because a random head's gradients would destroy what was pretrained.
"""

from dataclasses import dataclass
from typing import Literal

from tl.config import TrainingConfig

Scope = Literal["last", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of fine-tuning with one optimizer.

    Attributes:
        name: for reports.
        scope: ``last`` the backbone's last stage and the head; ``all`` every layer. BatchNorm
            stays as it was pretrained in both.
        epochs: upper bound.
        learning_rate: peak.
    """

    name: str
    scope: Scope
    epochs: int
    learning_rate: float


def choose_phases(training: TrainingConfig) -> tuple[Phase, ...]:
    """Return what comes after the head, in order."""
    if training.strategy == "features":
        return ()
    return (
        Phase(
            name=f"fine-tune {training.strategy}",
            scope=training.strategy,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
        ),
    )
