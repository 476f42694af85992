"""What a run says while it trains, and keeps in its log: what was decided, and found by trying."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.plan import Plan
from tl.augment.flip_harm import FlipHarm
from tl.strategy import Decision, decision_lines
from tl.tracking import Tracker


def report_decision(
    decision: Decision, folder: Path, tracker: Tracker, log: Any, say: Callable[[str], None]
) -> None:
    """Say what ``auto`` has chosen and why, and keep it."""
    for line in decision_lines(decision):
        say_and_keep(line, say, log)
    path = folder / "decision.json"
    path.write_text(json.dumps(dataclasses.asdict(decision), indent=2) + "\n")
    tracker.artifact(path)
    tracker.tags({"tl.strategy": f"auto: {decision.strategy}"})


def say_and_keep(line: str, say: Callable[[str], None], log: Any) -> None:
    """Say what was found by trying, and keep it in the run's log."""
    say(line)
    log.write(line + "\n")


def flip_words(harm: FlipHarm, plan: Plan, log: Any) -> str:
    """Say that flips harm, and keep it in the run's log."""
    true, taken_for = (plan.data.class_names[label] for label in harm.pair)
    words = (
        f"warning: recipe {plan.recipe!r} mirrors pictures, and mirrored ones are taken for other "
        f"classes: {harm.lost} of {harm.n_pictures} validation pictures, most often {true!r} for "
        f"{taken_for!r}; if left and right matter, pass --set augment.recipe=digits"
    )
    log.write(words + "\n")
    return words
