"""Which trials a command is made of, and what each may cost. Pure."""

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .results import Result, Trial

GUIDE = "guide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a command was asked for.

    Attributes:
        command: of time_to_accuracy.py.
        contenders: in the order they take turns.
        datasets: names.
        backbones: names.
        seeds: number of them, from 0.
        folds: that are tested on, of ``n_folds``.
        n_folds: parts of the pictures.
        shots: training pictures a class, 0 for all.
        budget: of tl, as in `Trial`.
        size: side of the pictures in pixels.
        quick: only to try it out.
    """

    command: str
    contenders: Sequence[str]
    datasets: Sequence[str]
    backbones: Sequence[str]
    seeds: int
    folds: Sequence[int] = (0,)
    n_folds: int = 5
    shots: Sequence[int] = (0,)
    budget: str = ""
    size: int = 224
    quick: bool = False


def trials_of(plan: Plan) -> list[Trial]:
    """Return the trials in their order.

    Contenders take turns on the same pictures, and the seeds come one after the other: should the
    time not be enough for all of them, those that are done are whole comparisons.
    """
    return [
        Trial(
            command=plan.command,
            dataset=dataset,
            backbone=backbone,
            contender=contender,
            budget=plan.budget if contender.startswith("tl") else "",
            size=plan.size,
            n_folds=plan.n_folds,
            fold=fold,
            seed=seed,
            shots=shots,
            quick=plan.quick,
        )
        for seed, dataset, backbone, fold, shots, contender in itertools.product(
            range(plan.seeds), plan.datasets, plan.backbones, plan.folds, plan.shots,
            plan.contenders,
        )
    ]  # fmt: skip


def possible_trials(
    trials: Iterable[Trial], strategies: Collection[str], *, has_budget: bool
) -> tuple[list[Trial], list[str]]:
    """Leave out what this version of tl cannot do.

    Args:
        trials: that are wanted.
        strategies: that tl knows.
        has_budget: whether tl can be told how long it may take.

    Returns:
        The trials that can be run, and a line for each thing that tl lacks.
    """
    possible, lacks = [], []
    for trial in trials:
        strategy = trial.contender.partition(":")[2]
        if strategy and strategy not in strategies:
            lacks.append(f"this tl has no --strategy {strategy}: left out")
            continue
        if trial.budget and not has_budget:
            lacks.append("this tl has no --time-budget: it takes the time it takes")
            possible.append(dataclasses.replace(trial, budget=""))
        else:
            possible.append(trial)
    return possible, list(dict.fromkeys(lacks))


def budget_s(trial: Trial, known: Mapping[Trial, Result]) -> float | None:
    """Return the seconds that tl is given: a number, or what the guide took on the same pictures.

    Raises:
        SystemExit: the guide was not measured there.
    """
    if trial.budget != GUIDE:
        return float(trial.budget) if trial.budget else None
    guide = dataclasses.replace(trial, contender=GUIDE, budget="")
    if guide not in known:
        raise SystemExit(
            "tl is to take the guide's wall time, and the guide was not measured on this fold: "
            "name it before tl in --contenders, or give seconds with --budget"
        )
    return known[guide].wall_s
