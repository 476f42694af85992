"""The guideline's table of four strategies, with the chosen cell, its reasons and all costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tl.report.shown import shown_seconds
from tl.strategy import CELLS, Amount, Decision, Evidence, Kind, decision_lines

_MEANING = {
    "features": "only a new head, on the features of the frozen backbone",
    "stages": "only a new head, on the features of several stages",
    "last": "fine-tune the last stages",
    "all": "fine-tune the whole backbone",
}


@dataclass(frozen=True, slots=True)
class StrategyCell:
    """One of the four.

    Attributes:
        name: as ``--strategy`` takes it.
        meaning: in words.
        cost: estimated before it was chosen.
        is_chosen: whether it was.
    """

    name: str
    meaning: str
    cost: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class StrategyTable:
    """What was chosen and why.

    Attributes:
        reasons: lines of numbers.
        rows: by amount of data, the cells for similar and for different pictures.
    """

    reasons: list[str]
    rows: dict[str, list[StrategyCell]]


def strategy_table(facts: Mapping[str, Any]) -> StrategyTable | None:
    """Read ``decision.json``; None where an earlier tl wrote it otherwise."""
    known = ("amount", "kind", "strategy", "reads_stages")
    try:
        decision = Decision(
            **{name: facts[name] for name in known}, evidence=Evidence(**facts["evidence"])
        )
        # The last lines are the table, drawn for a terminal.
        lines = decision_lines(decision)[:-3]
        reasons = [line.removeprefix("strategy").strip(" :") for line in lines]
        amounts: tuple[Amount, ...] = ("little", "more")
        kinds: tuple[Kind, ...] = ("similar", "different")
        rows = {
            f"{amount} data": [_cell(decision, amount, kind) for kind in kinds]
            for amount in amounts
        }
    except (KeyError, TypeError, ValueError):
        return None
    return StrategyTable(reasons, rows)


def _cell(decision: Decision, amount: Amount, kind: Kind) -> StrategyCell:
    name, evidence = CELLS[amount, kind], decision.evidence
    epoch = evidence.epoch_seconds[name]
    whole = evidence.head_seconds + evidence.epochs * epoch
    cost = f"about {shown_seconds(whole)}"
    if epoch:
        cost += f", {epoch:.1f} s an epoch"
    return StrategyCell(name, _MEANING[name], cost, name == decision.strategy)
