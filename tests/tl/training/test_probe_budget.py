"""A budget is kept, and spent on backbones first and pictures next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.training.probe_budget import ROOM, Pace, Work, affordable_share, expected_seconds

PACE = Pace(multiply_adds=100, picture_s=0.01, start_s=2.0, value_s=0.0)
CHEAP, MIDDLE, DEAR = (Work(name, adds, 10, 1000) for name, adds in
                       (("cheap", 100), ("middle", 200), ("dear", 10_000)))  # fmt: skip


def test_time_grows_with_multiply_adds_and_missing_pictures() -> None:
    assert expected_seconds(CHEAP, PACE, 1000, 1.0) == pytest.approx(2 + 10)
    assert expected_seconds(MIDDLE, PACE, 1000, 0.5) == pytest.approx(2 + 10)
    stored = Work("stored", 10_000, 10, 0)
    assert expected_seconds(stored, PACE, 1000, 1.0) == pytest.approx(2)


def test_a_cheaper_backbone_is_not_thought_faster_than_what_was_measured() -> None:
    tiny = Work("tiny", 1, 10, 1000)

    assert expected_seconds(tiny, PACE, 1000, 1.0) == expected_seconds(CHEAP, PACE, 1000, 1.0)


def test_probing_is_counted_although_all_features_are_stored() -> None:
    pace = Pace(100, 0.01, 2.0, value_s=1e-4)
    narrow, wide = (Work("any", 100, width, 0) for width in (500, 1500))

    assert expected_seconds(narrow, pace, 1000, 1.0) == pytest.approx(2 + 100)
    assert expected_seconds(wide, pace, 1000, 0.5) == pytest.approx(2 + 100)


def test_with_time_enough_all_pictures_are_taken() -> None:
    assert affordable_share([CHEAP, MIDDLE], PACE, 1000, 100, 0.1) == 1.0


def test_short_of_time_all_backbones_share_a_sample() -> None:
    # 30 s for all of the pictures, and 2 s to start the second: of 20 s of room 18 are left.
    share = affordable_share([CHEAP, MIDDLE], PACE, 1000, 20 / ROOM, 0.1)

    assert share == pytest.approx(18 / 30)


def test_one_dear_backbone_does_not_shrink_the_sample_of_all_others() -> None:
    with_it = affordable_share([CHEAP, MIDDLE, DEAR], PACE, 1000, 20 / ROOM, 0.1)

    assert with_it == affordable_share([CHEAP, MIDDLE], PACE, 1000, 20 / ROOM, 0.1)


def test_what_fits_nowhere_gets_the_least_share() -> None:
    assert affordable_share([CHEAP], PACE, 1000, 0.1, 0.3) == 0.3


works = st.lists(st.builds(Work, st.just("any"), st.integers(1, 10**6), st.integers(1, 2000),
                           st.integers(0, 10**5)), min_size=1, max_size=5)  # fmt: skip


@given(works, st.floats(0.1, 1e4), st.floats(0.01, 1.0))
def test_the_share_is_within_bounds_and_grows_with_the_budget(
    some: list[Work], left_s: float, least: float
) -> None:
    some = sorted(some, key=lambda work: work.multiply_adds)
    share = affordable_share(some, PACE, 10**5, left_s, least)

    assert least <= share <= 1
    only = some[:1]
    assert affordable_share(only, PACE, 10**5, left_s, least) <= affordable_share(
        only, PACE, 10**5, 2 * left_s, least
    )
