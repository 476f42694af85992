"""Which versions to load and which to retire: functions of values, no files and no clock.

Receives what is on disk and what is loaded, gives what to do next. The policy is TF Serving's
default: the newest version is wanted, and an old one leaves only when the new one can answer.
"""

from collections.abc import Collection
from dataclasses import dataclass

from serving.directory import VersionFolder


@dataclass(frozen=True, slots=True)
class Plan:
    """The versions to load (in this order) and the versions to retire afterwards."""

    load: tuple[int, ...]
    retire: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A load that failed: how often, when last (s, any clock), and on which files."""

    attempts: int
    failed_s: float
    contents: tuple[tuple[str, int, int], ...]


def plan_versions(
    on_disk: Collection[int], available: Collection[int], failed: Collection[int] = ()
) -> Plan:
    """Decide what to do so that the newest version on disk answers.

    The newest version on disk is always among those to load until it is available, failed or
    not; whether a failed one is tried again now is for `should_retry`. Where it has failed and
    nothing else can answer, the newest version that has not failed stands in for it: a restart
    must not end a service that the running server would have kept up.

    An empty disk retires everything, as TF Serving does: that is how a model is withdrawn.
    """
    if not on_disk:
        return Plan(load=(), retire=tuple(sorted(available)))
    newest = max(on_disk)
    if newest in available:
        return Plan(load=(), retire=tuple(sorted(set(available) - {newest})))
    untried = set(on_disk) - set(failed) - {newest}
    stands_in = newest in failed and not available and untried
    return Plan(load=(newest, max(untried)) if stands_in else (newest,), retire=())


def is_settled(
    version: VersionFolder, previous: VersionFolder | None, now_s: float, quiet_s: float
) -> bool:
    """Tell whether nobody is writing the version any more.

    It is settled when its files were left alone for `quiet_s`, or when they are as they were at
    the last poll, which also holds where the file server's clock is ahead of ours.
    """
    if previous is not None and previous.contents == version.contents:
        return True
    return now_s - version.changed_s >= quiet_s


def should_retry(
    failure: Failure, version: VersionFolder, now_s: float, *, max_retries: int, retry_s: float
) -> bool:
    """Tell whether a version that failed is worth another attempt now.

    Changed files always are; the same files `max_retries` times, `retry_s` apart, because a file
    server may have been away.
    """
    if failure.contents != version.contents:
        return True
    return failure.attempts <= max_retries and now_s - failure.failed_s >= retry_s
