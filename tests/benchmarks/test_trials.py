from dataclasses import replace

import pytest

from benchmarks.comparison.results import Epoch, Result
from benchmarks.comparison.trials import Plan, budget_s, possible_trials, trials_of

PLAN = Plan(command="folds", contenders=("guide", "tl"), datasets=("flowers", "cifar10"),
            backbones=("tl_small",), seeds=2, folds=range(5), budget="guide")  # fmt: skip


def test_contenders_take_turns_and_a_seed_is_whole_before_the_next() -> None:
    trials = trials_of(PLAN)

    assert len(set(trials)) == len(trials) == 2 * 2 * 5 * 2
    assert [one.contender for one in trials[:4]] == ["guide", "tl", "guide", "tl"]
    assert [one.seed for one in trials] == [0] * 20 + [1] * 20
    assert {one.budget for one in trials if one.contender == "guide"} == {""}
    assert {one.budget for one in trials if one.contender == "tl"} == {"guide"}


def test_what_this_tl_cannot_do_is_left_out_and_said_once() -> None:
    plan = replace(PLAN, contenders=("guide", "tl:all", "tl:auto"))

    possible, lacks = possible_trials(trials_of(plan), ["features", "all"], has_budget=False)

    assert {one.contender for one in possible} == {"guide", "tl:all"}
    assert {one.budget for one in possible} == {""}
    assert len(lacks) == 2
    assert "--time-budget" in lacks[0]
    assert "--strategy auto" in lacks[1]


def test_tl_is_given_what_the_guide_took_on_the_same_fold() -> None:
    guide, tl, other_guide, other_tl = trials_of(PLAN)[:4]
    result = Result(
        trial=guide, epochs=(Epoch(99.0, "all", 0.8),), wall_s=99.0, predictions={"a/1": "a"}
    )

    assert budget_s(tl, {guide: result}) == 99.0
    assert budget_s(replace(tl, budget="60"), {}) == 60.0
    assert budget_s(guide, {}) is None
    with pytest.raises(SystemExit, match="--contenders"):
        budget_s(other_tl, {guide: result})
