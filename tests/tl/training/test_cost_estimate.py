"""The estimate agrees with what was measured, and costs more the more learns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.training.cost_estimate import update_cost

costs = st.lists(st.integers(1, 10**9), min_size=1, max_size=6)


def test_a_fifth_of_the_work_learning_costs_as_was_measured() -> None:
    assert update_cost([3, 3, 2, 2], 1) == pytest.approx(1.2 + 2.2 * 0.2)
    assert 1.4 <= update_cost([3, 3, 2, 2], 1) <= 1.7
    assert 3.0 <= update_cost([3, 3, 2, 2], None) <= 3.8


@given(costs)
def test_more_stages_cost_more_up_to_all(stage_costs: list[int]) -> None:
    found = [update_cost(stage_costs, n) for n in range(len(stage_costs) + 1)]

    assert found == sorted(found)
    assert found[0] == pytest.approx(1.2)
    assert found[-1] == update_cost(stage_costs, None) == update_cost(stage_costs, 99)


@given(costs, st.integers(1, 1000))
def test_only_shares_count_not_the_size_of_pictures(stage_costs: list[int], factor: int) -> None:
    larger = [factor * one for one in stage_costs]

    assert update_cost(larger, 1) == pytest.approx(update_cost(stage_costs, 1))


def test_a_network_without_counted_work_is_told_by_its_stages() -> None:
    assert update_cost([0, 0], 1) == pytest.approx(1.2 + 1.1)


@pytest.mark.parametrize(("stage_costs", "n_stages"), [([], None), ([1, 2], -1)])
def test_stages_that_are_not_there_cannot_learn(
    stage_costs: list[int], n_stages: int | None
) -> None:
    with pytest.raises(ValueError, match="stages cannot learn"):
        update_cost(stage_costs, n_stages)
