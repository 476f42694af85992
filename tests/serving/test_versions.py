from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.config import VersionPolicy
from serving.directory import VersionFolder
from serving.versions import Failure, Plan, is_settled, plan_versions, should_retry

VERSIONS = st.sets(st.integers(1, 6))
NEWEST, ALL = VersionPolicy(), VersionPolicy(n_latest=None)
TWO = VersionPolicy(n_latest=2)
POLICIES = st.sampled_from([NEWEST, TWO, ALL]) | VERSIONS.map(
    lambda versions: VersionPolicy(versions=frozenset(versions))
)


def folder(changed_s: float = 0, size: int = 1) -> VersionFolder:
    return VersionFolder(Path("1"), (("saved_model.pb", size, int(changed_s * 1e9)),))


def test_newest_version_is_loaded_first_and_the_old_one_stays_meanwhile() -> None:
    assert plan_versions(NEWEST, {1, 2}, available={1}) == Plan(load=(2,), retire=())


def test_old_version_is_retired_once_the_new_one_answers() -> None:
    assert plan_versions(NEWEST, {1, 2}, available={1, 2}) == Plan(load=(), retire=(1,))


def test_deleting_the_newest_version_rolls_back() -> None:
    assert plan_versions(NEWEST, {1}, available={2}) == Plan(load=(1,), retire=())
    assert plan_versions(NEWEST, {1}, available={1, 2}) == Plan(load=(), retire=(2,))


def test_old_version_keeps_serving_while_the_new_one_fails() -> None:
    assert plan_versions(NEWEST, {1, 2}, available={1}, failed={2}) == Plan(load=(2,), retire=())


def test_older_version_stands_in_at_start_where_the_newest_fails() -> None:
    assert plan_versions(NEWEST, {1, 2, 3}, available=(), failed={3}) == Plan(
        load=(3, 2), retire=()
    )


def test_emptied_base_path_withdraws_the_model() -> None:
    assert plan_versions(NEWEST, (), available={2}) == Plan(load=(), retire=(2,))


def test_policy_chooses_the_newest_or_all_or_those_that_it_names() -> None:
    on_disk = {1, 2, 3}

    assert NEWEST.wanted(on_disk) == {3}
    assert TWO.wanted(on_disk) == {2, 3}
    assert ALL.wanted(on_disk) == on_disk
    assert VersionPolicy(versions=frozenset({1, 9})).wanted(on_disk) == {1}


def test_versions_that_are_wanted_together_are_loaded_newest_first() -> None:
    assert plan_versions(ALL, {1, 2, 3}, available={2}) == Plan(load=(3, 1), retire=())
    assert plan_versions(TWO, {1, 2, 3}, available={1, 2}) == Plan(load=(3,), retire=(1,))


def test_version_that_was_asked_for_by_number_has_no_stand_in() -> None:
    second = VersionPolicy(versions=frozenset({2}))

    assert plan_versions(second, {1, 2, 3}, available=(), failed={2}) == Plan((2,), ())
    assert plan_versions(second, {1, 2, 3}, available={3}) == Plan((2,), ())
    assert plan_versions(second, {1, 2, 3}, available={2, 3}) == Plan((), (3,))
    assert plan_versions(second, {1, 3}, available={2, 3}) == Plan((), (2, 3))


@given(POLICIES, VERSIONS, VERSIONS, VERSIONS)
def test_a_model_with_wanted_versions_on_disk_is_never_left_without_an_answer(
    policy: VersionPolicy, on_disk: set[int], available: set[int], failed: set[int]
) -> None:
    plan = plan_versions(policy, on_disk, available, failed)

    assert set(plan.load) <= on_disk - available
    assert set(plan.retire) <= available
    assert not set(plan.retire) & policy.wanted(on_disk)
    if policy.wanted(on_disk) and available:
        assert set(plan.retire) < available


def test_version_is_settled_when_its_files_were_left_alone_for_a_while() -> None:
    assert is_settled(folder(changed_s=98.5), None, now_s=100, quiet_s=1)
    assert not is_settled(folder(changed_s=99.5), None, now_s=100, quiet_s=1)


def test_version_is_settled_when_two_polls_find_it_equal_whatever_the_clocks_say() -> None:
    ahead = folder(changed_s=500)

    assert is_settled(ahead, ahead, now_s=100, quiet_s=1)
    assert not is_settled(ahead, folder(changed_s=500, size=2), now_s=100, quiet_s=1)


def test_failed_version_is_tried_again_after_a_while_but_not_for_ever() -> None:
    once, often = (Failure(n, 100, folder().contents) for n in (1, 6))

    assert not should_retry(once, folder(), 159, max_retries=5, retry_s=60)
    assert should_retry(once, folder(), 160, max_retries=5, retry_s=60)
    assert not should_retry(often, folder(), 1000, max_retries=5, retry_s=60)


def test_failed_version_is_tried_again_at_once_when_its_files_change() -> None:
    failure = Failure(6, 100, folder().contents)

    assert should_retry(failure, folder(size=2), 101, max_retries=5, retry_s=60)
