"""The best is first, what cannot be told from it says so, and the cheapest of those is taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.evaluation.ranking import Candidate, Ranking, rank
from tl.problem import Unit
from tl.training.objectives import objective_of

PICTURES = 400
LABELS = (np.arange(PICTURES) % 2).astype(np.int32)


def candidate(name: str, cost: int, right: float, seed: int = 0) -> Candidate:
    """One that is right about a share of the pictures; of one seed the same ones are hard."""
    is_right = np.random.default_rng(seed).permutation(PICTURES) < right * PICTURES
    said = np.where(is_right, LABELS, 1 - LABELS)
    return Candidate(name, cost, np.eye(2, dtype=np.float32)[said])


def ranked(*candidates: Candidate) -> Ranking:
    objective = objective_of("single_label", 2, Unit())
    return rank(candidates, LABELS, "single_label", objective, seed=0)


def test_a_clearly_better_backbone_is_taken_though_it_is_dearer() -> None:
    ranking = ranked(candidate("cheap", 1, 0.6), candidate("dear", 9, 0.9))

    assert [row.name for row in ranking.rows] == ["dear", "cheap"]
    assert [row.ties for row in ranking.rows] == [True, False]
    assert ranking.recommended == "dear"
    assert ranking.rows[0].score == pytest.approx(0.9)
    assert "cheap comes nearest and is 0.300 worse, which is hardly chance (p < 0.001)" in (
        ranking.reason
    )


def test_of_backbones_that_cannot_be_told_apart_the_cheapest_is_taken() -> None:
    ranking = ranked(
        candidate("dear", 9, 0.90), candidate("cheap", 1, 0.89, seed=1), candidate("bad", 0, 0.5)
    )

    assert [row.ties for row in ranking.rows] == [True, True, False]
    assert ranking.recommended == "cheap"
    assert "cheapest of those that 400 pictures cannot tell from the first: dear is" in (
        ranking.reason
    )


def test_the_best_and_cheapest_needs_no_excuse() -> None:
    ranking = ranked(candidate("good", 1, 0.9), candidate("bad", 2, 0.5))

    assert ranking.reason == "accuracy 0.900, the best, and none is cheaper"


def test_one_backbone_alone_is_not_called_the_best() -> None:
    ranking = ranked(candidate("only", 1, 0.75))

    assert ranking.recommended == "only"
    assert ranking.reason == "accuracy 0.750; there was no other to compare it with"
    low, high = ranking.rows[0].interval
    assert low < 0.75 < high


def test_a_difference_that_convinces_of_two_may_be_chance_among_many() -> None:
    better, worse = candidate("better", 9, 0.90), candidate("worse", 1, 0.885)
    others = [candidate(f"bad{n}", 2, 0.5) for n in range(18)]

    alone, among_many = ranked(better, worse), ranked(better, worse, *others)

    p_value = next(row.p_value for row in alone.rows if row.name == "worse")
    assert 0.05 / 19 < p_value <= 0.05
    assert alone.recommended == "better"
    assert among_many.recommended == "worse"


@given(st.permutations(range(4)))
def test_the_order_of_the_candidates_does_not_count(order: list[int]) -> None:
    some = [candidate(f"net{n}", n, 0.6 + 0.05 * n) for n in range(4)]

    assert ranked(*(some[n] for n in order)) == ranked(*some)


def test_errors_are_better_when_lower() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(50, 10, (200, 1)).astype(np.float32)
    exact = Candidate("exact", 9, truth + rng.normal(0, 1, (200, 1)).astype(np.float32))
    rough = Candidate("rough", 1, truth + rng.normal(0, 5, (200, 1)).astype(np.float32))
    objective = objective_of("regression", 1, Unit())

    ranking = rank([rough, exact], truth, "regression", objective, seed=0)

    assert [row.name for row in ranking.rows] == ["exact", "rough"]
    assert ranking.recommended == "exact"
    assert not ranking.rows[1].ties
    low, high = ranking.rows[0].interval
    assert low < ranking.rows[0].score < high < ranking.rows[1].interval[0]


def test_several_classes_are_compared_by_paired_samples() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((300, 3)) < 0.4).astype(np.float32)
    exact = Candidate("exact", 9, truth - 0.5 + rng.normal(0, 0.3, truth.shape).astype(np.float32))
    rough = Candidate("rough", 1, truth - 0.5 + rng.normal(0, 0.9, truth.shape).astype(np.float32))
    objective = objective_of("multi_label", 3, Unit())

    ranking = rank([rough, exact], truth, "multi_label", objective, seed=0)

    assert ranking.score_name == "micro_f1"
    assert [(row.name, row.ties) for row in ranking.rows] == [("exact", True), ("rough", False)]
