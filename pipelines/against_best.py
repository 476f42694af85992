"""How a run's model stands to the best run before it: a difference, or noise."""

from pathlib import Path

from pipelines.exported import Exported
from tl.errors import TlError
from tl.evaluation.compare import Comparison, compare_predictions
from tl.evaluation.measures import headline
from tl.evaluation.predictions import PREDICTIONS, read_predictions
from tl.run_list import best_run, list_runs


def against_best(folder: Path, exported: Exported) -> str | None:
    """Compare a run with the best other one that was asked the same, on the pictures of both.

    Args:
        folder: of the run, with what its model said of the pictures.
        exported: its version.

    Returns:
        A line; None where no other run was measured on the same pictures.
    """
    rows = list_runs(folder.parent)
    mine = next((row for row in rows if row.id == folder.name), None)
    if mine is None or not exported.metrics:
        return None
    asked = (mine.model, mine.problem, mine.fingerprint, exported.measured_on)
    name = headline(exported.problem, exported.metrics)[0]
    best = best_run(
        [
            row
            for row in rows
            if row.id != mine.id and row.headline == name
            if (row.model, row.problem, row.fingerprint, row.measured_on) == asked
            if (folder.parent / row.id / PREDICTIONS).is_file()
        ]
    )
    if best is None:
        return None
    try:
        theirs, ours = (
            read_predictions(one / PREDICTIONS) for one in (folder.parent / best.id, folder)
        )
        return comparison_words(best.id, compare_predictions(theirs, ours))
    except TlError:  # another split, or a damaged table
        return None


def comparison_words(best: str, comparison: Comparison) -> str:
    """Say how a model stands to another run's, the first of the comparison."""
    figure = comparison.differences[0]
    low, high = figure.interval
    gap = f"{figure.name} {figure.difference:+.3g} (95 % interval {low:+.3g} to {high:+.3g})"
    words = {
        "first": f"worse than {best}: {gap}",
        "second": f"better than {best}: {gap}",
        "neither": f"maybe noise beside {best}: {gap}",
    }[figure.better]
    return f"{words}, on the same {comparison.n_pictures:,} pictures"
