"""How far to train: a choice as data; `tl.training.tuning` acts on it.

The head always comes first, on the features of the frozen backbone; fine-tuning starts from it
(LP-FT, Kumar et al. 2022), because a random head's gradients would destroy what was pretrained.
Whether to fine-tune at all, and how much, is the guideline's table of four cells: little or more
data, pictures similar to those of the pretraining or different ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tl.config import TrainingConfig
from tl.words import counted

Amount = Literal["little", "more"]
Kind = Literal["similar", "different"]
Executed = Literal["features", "stages", "last", "all"]

LITTLE = 50
"""Training pictures a class below which fine-tuning gains nothing that is worth its time."""
CERTAIN = 2.0
"""Standard errors by which earlier stages have to know more, to call the pictures different."""
WORTH = 0.05
"""Share of the loss that they have to take off it: of flower photographs, which are much like those
of ImageNet, all stages take 1 to 3 %; of CIFAR-10 12 %, of digits 60 %."""
FIRST_ROUND = 0.25
"""Of the epochs."""
PAYS = 0.05
"""Share of the validation loss that a first round has to take off it for the rest to follow."""
CELLS: Mapping[tuple[Amount, Kind], Executed] = {
    ("little", "similar"): "features",
    ("little", "different"): "stages",
    ("more", "similar"): "last",
    ("more", "different"): "all",
}
"""Source: the transfer learning notes of Stanford's CS231n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of fine-tuning with one optimizer.

    Attributes:
        name: for reports.
        n_stages: how many of the backbone's last stages learn, beside the head; None for all.
        epochs: upper bound.
        learning_rate: peak.
        if_paid: comes only if the phase before has paid.
    """

    name: str
    n_stages: int | None
    epochs: int
    learning_rate: float
    if_paid: bool = False


def choose_phases(
    training: TrainingConfig,
    strategies: Sequence[Executed],
    epoch_seconds: Mapping[Executed, float],
    seconds_left: float | None = None,
    in_rounds: bool = False,
) -> tuple[Phase, ...]:
    """Return what comes after the head, in order.

    Args:
        training: rates and bounds.
        strategies: to execute, one after the other.
        epoch_seconds: of fine-tuning, by strategy, estimated; 0 for those that do not.
        seconds_left: None where time does not matter.
        in_rounds: begin with a short round, down to a rate of zero, which is the cheapest way to
            see what fine-tuning gains here; the rest comes only if that has paid.
    """
    phases: list[Phase] = []
    for strategy in strategies:
        if not epoch_seconds[strategy]:
            continue
        epochs = epochs_in(seconds_left, epoch_seconds[strategy], training.epochs)
        if seconds_left is not None:
            seconds_left -= epochs * epoch_seconds[strategy]
        first = max(1, round(FIRST_ROUND * training.epochs)) if in_rounds else epochs
        for suffix, count in (("", min(first, epochs)), (" further", epochs - first)):
            if count > 0:
                phases.append(
                    Phase(
                        name=f"fine-tune {strategy}{suffix}",
                        n_stages=training.last_stages if strategy == "last" else None,
                        epochs=count,
                        learning_rate=training.learning_rate,
                        if_paid=bool(suffix),
                    )
                )
    return tuple(phases)


def replan(
    phases: Sequence[Phase], before: TrainingConfig, now: TrainingConfig
) -> tuple[Phase, ...]:
    """Return the phases of a run with the epochs and the rate of another config.

    Args:
        phases: as `choose_phases` gave them for ``before``; first rounds stay as long as they are.
        before: config of the run.
        now: config to go on with.
    """
    replanned: list[Phase] = []
    for place, phase in enumerate(phases):
        following = phases[place + 1] if place + 1 < len(phases) else None
        is_first_round = following is not None and following.if_paid
        more = 0 if is_first_round else now.epochs - before.epochs
        replanned.append(
            replace(phase, epochs=max(1, phase.epochs + more), learning_rate=now.learning_rate)
        )
    return tuple(replanned)


def has_paid(before: float, after: float) -> bool:
    """Tell whether validation losses before and after a phase speak for more of it."""
    return after <= (1 - PAYS) * before


def epochs_in(seconds_left: float | None, epoch_seconds: float, epochs: int) -> int:
    """Return how many epochs there is time for.

    Args:
        seconds_left: None where time does not matter.
        epoch_seconds: of fine-tuning, estimated.
        epochs: that are wanted.
    """
    if seconds_left is None or epoch_seconds <= 0:
        return epochs
    return min(epochs, max(0, int(seconds_left / epoch_seconds)))


def go_further(strategy: Executed, seconds_left: float | None) -> tuple[Executed, ...]:
    """Return what ``auto`` executes: its cell's strategy, and in time that was given for it, all.

    Args:
        strategy: of the cell.
        seconds_left: of a time budget; None where none was given, and a short run is wanted.
    """
    if strategy == "last" and seconds_left is not None:
        return ("last", "all")
    return (strategy,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was measured before fine-tuning.

    Attributes:
        pictures_per_class: to learn from, in the mean; of values, all of them.
        score_name: of the scores.
        last_score: of a linear head on the last stage, on validation.
        best_taps: stages whose linear head has the lowest validation loss.
        best_score: of that head.
        compared: pictures on which the two heads are compared, by losses.
        last_loss: of the last stage's head on those.
        gain: by how much the other's is below.
        gain_error: standard error of that, picture by picture.
        head_seconds: of the head, which comes first in every cell: what it took until the choice,
            and what its augmented views will take.
        epochs: of fine-tuning, at most.
        epoch_seconds: of fine-tuning, by strategy; 0 for those that do not.
    """

    pictures_per_class: float
    score_name: str
    last_score: float
    best_taps: tuple[int, ...]
    best_score: float
    compared: int
    last_loss: float
    gain: float
    gain_error: float
    head_seconds: float
    epochs: int
    epoch_seconds: Mapping[Executed, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The cell that was chosen, and why.

    Attributes:
        amount: of data.
        kind: of pictures, against those of the pretraining.
        strategy: of the cell.
        reads_stages: whether the head reads the stages of ``best_taps``.
        evidence: the numbers behind it.
    """

    amount: Amount
    kind: Kind
    strategy: Executed
    reads_stages: bool
    evidence: Evidence


def decide(evidence: Evidence) -> Decision:
    """Choose a cell of the guideline's table by what was measured."""
    amount: Amount = "little" if evidence.pictures_per_class < LITTLE else "more"
    needed = max(WORTH * evidence.last_loss, CERTAIN * evidence.gain_error)
    kind: Kind = "different" if evidence.gain > needed else "similar"
    return Decision(
        amount=amount,
        kind=kind,
        strategy=CELLS[amount, kind],
        reads_stages=kind == "different",
        evidence=evidence,
    )


def decision_lines(decision: Decision) -> list[str]:
    """Return the guideline's table with the chosen cell, the numbers behind it, and the costs."""
    evidence = decision.evidence
    stages = "+".join(str(tap + 1) for tap in evidence.best_taps)
    share = 100 / max(1e-12, evidence.last_loss)
    count = counted(round(evidence.pictures_per_class), "training picture")
    lines = [f"strategy  {count} a class: {decision.amount} data (fewer than {LITTLE} are little)"]
    last = f"a linear head on the last stage: {evidence.score_name} {evidence.last_score:.3f}"
    if not evidence.gain:
        lines += [f"          {last}; no earlier stage, and not all together, knows more:"]
    else:
        lines += [
            f"          {last}; on stages {stages}: {evidence.best_score:.3f}",
            f"          of {evidence.compared:,} pictures these take "
            f"{share * evidence.gain:.1f} % off the loss; it has to be {100 * WORTH:g} % "
            f"and {CERTAIN:g} standard errors ({share * CERTAIN * evidence.gain_error:.1f} %):",
        ]
    lines += [
        f"          {decision.kind} pictures, against those of the pretraining",
        f"          {'':14}{'similar pictures':<36}different pictures",
    ]
    amounts: tuple[Amount, ...] = ("little", "more")
    kinds: tuple[Kind, ...] = ("similar", "different")
    for amount in amounts:
        cells = [_cell(decision, CELLS[amount, kind]) for kind in kinds]
        lines.append(f"          {amount + ' data':<12}{cells[0]:<38}{cells[1]}".rstrip())
    return lines


def _cell(decision: Decision, strategy: Executed) -> str:
    mark = ">" if strategy == decision.strategy else " "
    evidence = decision.evidence
    head, epoch = evidence.head_seconds, evidence.epoch_seconds[strategy]
    if not epoch:
        return f"{mark} {strategy}, about {head:.0f} s"
    whole = head + evidence.epochs * epoch
    return f"{mark} {strategy}, about {whole:.0f} s, {epoch:.1f} s an epoch"
