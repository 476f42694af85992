"""Which layers train, when, at what rate: a choice as data, executed by `tl.training.tuning`.

The head always comes first, on the features of the frozen backbone; fine-tuning starts from it
(LP-FT, Kumar et al. 2022), because a random head's gradients would destroy what was pretrained.
"""

from dataclasses import dataclass
from typing import Literal

from tl.config import TrainingConfig

Scope = Literal["head", "last", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of training with one optimizer.

    Attributes:
        name: for reports.
        scope: ``head`` on cached features; ``last`` the backbone's last stage and the head;
            ``all`` every layer. BatchNorm stays as it was pretrained in each.
        epochs: upper bound.
        learning_rate: peak.
    """

    name: str
    scope: Scope
    epochs: int
    learning_rate: float


def choose_phases(training: TrainingConfig) -> tuple[Phase, ...]:
    """Return the phases of a strategy, in order."""
    head = Phase(
        name="head",
        scope="head",
        epochs=training.head_epochs,
        learning_rate=training.learning_rate,
    )
    if training.strategy == "features":
        return (head,)
    tune = Phase(
        name=f"fine-tune {training.strategy}",
        scope=training.strategy,
        epochs=training.epochs,
        learning_rate=training.fine_tune_learning_rate,
    )
    return (head, tune)
