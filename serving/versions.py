"""Which versions to load and which to retire: functions of values, no files and no clock.

Receives what is on disk and what is loaded, gives what to do next. As in TF Serving, a version
that is not wanted any more leaves only when a wanted one can answer.
"""

from collections.abc import Collection
from dataclasses import dataclass

from serving.config import VersionPolicy
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
    policy: VersionPolicy,
    on_disk: Collection[int],
    available: Collection[int],
    failed: Collection[int] = (),
) -> Plan:
    """Decide what to do so that the versions that a policy wants answer.

    Wanted versions are always among those to load until they are available, failed or not;
    whether a failed one is tried again now is for `should_retry`. Where all of the newest have
    failed and nothing else can answer, the newest version that has not failed stands in: a
    restart must not end a service that the running server would have kept up. Versions that were
    asked for by number have no stand-in.

    Where nothing that is wanted is on disk, everything is retired, as in TF Serving: that is how
    a model is withdrawn.
    """
    wanted, answering = policy.wanted(on_disk), frozenset(available)
    if not wanted:
        return Plan(load=(), retire=tuple(sorted(answering)))
    missing = sorted(wanted - answering, reverse=True)
    if wanted & answering:
        return Plan(load=tuple(missing), retire=tuple(sorted(answering - wanted)))
    untried = frozenset(on_disk) - frozenset(failed) - wanted
    stands_in = policy.versions is None and wanted <= frozenset(failed) and not answering
    return Plan(load=(*missing, max(untried)) if stands_in and untried else tuple(missing),
                retire=())  # fmt: skip


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
