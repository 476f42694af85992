"""What results say, as tables for docs/benchmarks.md. Pure: results in, lines out."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

from .paired import bootstrap_interval, paired_differences
from .results import Result
from .trials import GUIDE

Contenders = dict[str, list[Result]]
"""Results by the contender's label, in the order they came."""


def table_of(command: str, results: Iterable[Result]) -> list[str]:
    """Return the table of one command of time_to_accuracy.py, from its results among others."""
    mine = [one for one in results if one.trial.command == command]
    mine = [one for one in mine if not one.trial.quick] or mine
    if not mine:
        return [f"{command}: nothing measured yet"]
    lines = TABLES[command](mine)
    commits = sorted({one.commit for one in mine if one.commit})
    quick = " --quick: says nothing." if any(one.trial.quick for one in mine) else ""
    return [*lines, "", f"{len(mine)} trainings at {', '.join(commits)}.{quick}"]


def time_table(results: Sequence[Result]) -> list[str]:
    """Compare how long a classifier as good as the guide's last takes, round by round."""
    lines = [
        "| dataset | backbone | contender | test accuracy | wall s | accuracy to reach | "
        "reached after s | guide's wall / that | guide's wall / wall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (dataset, backbone, *_), contenders in _groups(results):
        guides = {one.trial.seed: one for one in contenders.get(GUIDE, [])}
        for label, runs in contenders.items():
            rounds = [(run, guides[run.trial.seed]) for run in runs if run.trial.seed in guides]
            reached = [run.seconds_to(guide.final_val_accuracy) for run, guide in rounds]
            cells = [
                _each([run.accuracy for run in runs], ".3f"),
                _each([run.wall_s for run in runs], ".0f"),
                _each([guide.final_val_accuracy for _, guide in rounds], ".3f"),
                _each(reached, ".1f"),
                _each(
                    [
                        None if seconds is None else guide.wall_s / seconds
                        for seconds, (_, guide) in zip(reached, rounds, strict=True)
                    ],
                    ".1f",
                ),
                _each([guide.wall_s / run.wall_s for run, guide in rounds], ".1f"),
            ]
            lines.append(f"| {' | '.join([dataset, backbone, label, *cells])} |")
    return lines


def accuracy_table(
    results: Sequence[Result], choose_reference: Callable[[Contenders], str]
) -> list[str]:
    """Compare test accuracies with those of a reference, paired by picture.

    Args:
        results: of one command.
        choose_reference: from the contenders of a dataset and a backbone.
    """
    lines = [
        "| dataset | backbone | shots | contender | tests | test accuracy, mean (each seed) | wall "
        "s, median (most) | of the reference's wall | points above the reference (95 %) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (dataset, backbone, shots, _), contenders in _groups(results):
        reference = choose_reference(contenders)
        theirs = contenders.get(reference, [])
        for label, runs in contenders.items():
            wall = [one.wall_s for one in runs]
            share, above = _against(runs, theirs) if label != reference else ("", "reference")
            lines.append(
                f"| {dataset} | {backbone} | {shots or 'all'} | {label} | {len(runs)} | "
                f"{_mean_and_seeds(runs)} | {statistics.median(wall):.0f} ({max(wall):.0f}) | "
                f"{share} | {above} |"
            )
    return lines


def _against(runs: Sequence[Result], reference: Sequence[Result]) -> tuple[str, str]:
    """Return the share of the reference's wall time, and the points above it."""
    places = {(one.trial.fold, one.trial.seed): one for one in reference}
    pairs = [
        (one, places[at]) for one in runs if (at := (one.trial.fold, one.trial.seed)) in places
    ]
    if not pairs:
        return "", ""
    share = sum(one.wall_s for one, _ in pairs) / sum(other.wall_s for _, other in pairs)
    differences = paired_differences(runs, reference)
    return f"{share:.2f}", str(bootstrap_interval(differences))


def best_single(contenders: Contenders) -> str:
    """Return the strategy with the best mean test accuracy, ``auto`` apart.

    It is chosen by the pictures that it is compared on, which favours it.
    """
    singles = [label for label in contenders if label != "tl:auto"]
    return max(
        singles or contenders,
        key=lambda label: statistics.fmean(one.accuracy for one in contenders[label]),
    )


TABLES: dict[str, Callable[[Sequence[Result]], list[str]]] = {
    "time": time_table,
    "folds": lambda results: accuracy_table(results, lambda _: GUIDE),
    "strategies": lambda results: accuracy_table(results, best_single),
    "few-shot": lambda results: accuracy_table(results, lambda _: GUIDE),
}


def _groups(results: Sequence[Result]) -> Iterator[tuple[tuple[str, str, int, int], Contenders]]:
    """Yield (dataset, backbone and size, shots, folds) and what was measured there."""
    groups: dict[tuple[str, str, int, int], Contenders] = {}
    for one in results:
        trial = one.trial
        network = f"{trial.backbone} at {trial.size}"
        key = (trial.dataset, network, trial.shots, trial.n_folds)
        groups.setdefault(key, {}).setdefault(trial.label, []).append(one)
    yield from sorted(groups.items(), key=lambda item: item[0])


def _mean_and_seeds(runs: Sequence[Result]) -> str:
    seeds: dict[int, list[float]] = {}
    for run in runs:
        seeds.setdefault(run.trial.seed, []).append(run.accuracy)
    each = ", ".join(f"{statistics.fmean(found):.3f}" for _, found in sorted(seeds.items()))
    return f"{statistics.fmean(run.accuracy for run in runs):.3f} ({each})"


def _each(values: Sequence[float | None], form: str) -> str:
    """Return the median and every value; a classifier that never came is later than any."""
    if not values:
        return ""
    words = ", ".join("never" if one is None else format(one, form) for one in values)
    found = [one for one in values if one is not None]
    if len(found) < len(values):
        return f"({words})"
    return f"{statistics.median(found):{form}} ({words})" if len(values) > 1 else words
