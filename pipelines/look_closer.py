"""What a run finds out after its model is published: nothing here can cost the model any more."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines.exported import SUSPECTS
from pipelines.plan import Plan
from pipelines.report import CARD, REPORT, write_report
from pipelines.suspects import find_label_errors, write_suspects
from tl.data.batches import Feed
from tl.tracking import Tracker
from tl.words import counted, first_line

_log = logging.getLogger(__name__)


def look_for_label_errors(plan: Plan, folder: Path, feed: Feed, say: Callable[[str], None]) -> None:
    """Write ``suspects.csv`` where pictures have one class each and labels are to be looked at."""
    if plan.data.problem != "single_label" or not plan.config.evaluation.suspects:
        return
    assert plan.weights is not None  # only a dry run has none
    with going_on("looking for label errors", say), _told_before("tl.zoo.load"):
        rows = find_label_errors(
            plan.data,
            plan.backbone,
            plan.weights,
            plan.image_size,
            config=plan.config.data,
            feed=feed,
            seed=plan.config.seed,
        )
        write_suspects(rows, folder / SUSPECTS)
        if rows:
            first = rows[0]
            say(
                f"{counted(len(rows), 'label')} may be wrong, listed in {folder / SUSPECTS} (look "
                f"before you leave them out: some are right); the surest: {first.key} is "
                f"labelled {first.given} and looks like {first.proposed}"
            )


@contextlib.contextmanager
def _told_before(module: str) -> Iterator[None]:
    """Keep a module from warning again of what the run was told when it began."""
    logger = logging.getLogger(module)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def write_pages(
    plan: Plan,
    folder: Path,
    tracker: Tracker,
    say: Callable[[str], None],
) -> None:
    """Write report and model card, and keep both in the experiment store."""
    with going_on("the report", say):
        write_report(folder, plan.data)
        for name in (REPORT, CARD):
            tracker.artifact(folder / name)


@contextlib.contextmanager
def going_on(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say that a look failed, and go on: the model is there."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever fails here, the model is published
        _log.debug("%s failed", what, exc_info=True)
        say(f"warning: {what} failed, the model is not concerned: {first_line(error)}")
