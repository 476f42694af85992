"""`tl compare-runs`: a difference, or noise."""

import dataclasses
import json
import math
from typing import TYPE_CHECKING

import click

from tl.words import counted

if TYPE_CHECKING:
    from tl.evaluation.compare import Comparison


@click.command("compare-runs")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--dataset", help="Measure both on these pictures, in place of their test pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def compare_runs(first: str, second: str, dataset: str | None, as_json: bool) -> None:
    """Say whether B's model is better than A's, or whether the difference is noise.

    A and B are runs; with --dataset also folders of versions. A paired test on the pictures that
    both were measured on: the exact test of McNemar for accuracy; the bootstrap for other figures,
    and where pictures belong to groups.
    """
    if dataset is not None:
        from tl.cli.quiet import start_keras

        start_keras()
    from pipelines.compare_runs import compare_runs as compare

    result = compare(first, second, dataset)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), indent=2))
        return
    click.echo(f"A  {first}\nB  {second}")
    groups = "" if result.n_groups is None else f" of {counted(result.n_groups, 'group')}"
    click.echo(f"on the same {counted(result.n_pictures, 'picture')}{groups}{_others(result)}")
    if result.only_first_right is not None:
        click.echo(
            f"A alone is right on {result.only_first_right}, B alone on {result.only_second_right}"
        )
    width = max(len(one.name) for one in result.differences)
    click.echo(f"{'':<{width}}  {'A':>8}  {'B':>8}  {'B - A':>8}  {'95 % interval':>19}  {'p':>6}")
    for one in result.differences:
        low, high = one.interval
        click.echo(
            f"{one.name:<{width}}  {one.first:>8.4f}  {one.second:>8.4f}  {one.difference:>+8.4f}  "
            f"{low:>+8.4f} to {high:>+7.4f}  {one.p_value:>6.3f}"
        )
    click.echo(verdict(result))


def verdict(result: "Comparison") -> str:
    """Say it plainly."""
    first = result.differences[0]
    if first.better != "neither":
        name = {"first": "A", "second": "B"}[first.better]
        return (
            f"{name} is better: a difference in {first.name} as large as this would come up by "
            f"chance in {_share(first.p_value)} of such comparisons"
        )
    if first.difference == 0:
        return f"no difference in {first.name} on these pictures"
    words = (
        f"the difference in {first.name} may well be noise: one as large would come up by chance "
        f"in {_share(first.p_value)} of such comparisons"
    )
    needed = pictures_needed(result)
    if needed is not None:
        words += f"; if it is real, about {needed:,} test pictures would show it"
    others = [
        f"{one.name} says that {'A' if one.better == 'first' else 'B'} is better "
        f"(p {one.p_value:.3f})"
        for one in result.differences[1:]
        if one.better != "neither"
    ]
    return f"{words}. But {', '.join(others)}" if others else words


def pictures_needed(result: "Comparison") -> int | None:
    """Return how many pictures would show the difference in accuracy in 4 of 5 comparisons.

    Source: Connor 1987, sample size of McNemar's test at the levels 0.05 and 0.8.
    """
    if result.only_first_right is None or result.only_second_right is None or result.n_groups:
        return None
    one, other = (
        count / result.n_pictures for count in (result.only_first_right, result.only_second_right)
    )
    gap, either = abs(one - other), one + other
    if gap == 0:
        return None
    root = 1.959964 * math.sqrt(either) + 0.841621 * math.sqrt(max(0.0, either - gap**2))
    return math.ceil((root / gap) ** 2)


def _share(p_value: float) -> str:
    return "under 1 %" if p_value < 0.01 else f"{100 * p_value:.0f} %"


def _others(result: "Comparison") -> str:
    others = [
        f"{counted(count, 'picture')} of {name} alone"
        for name, count in (("A", result.only_first), ("B", result.only_second))
        if count
    ]
    return f"; {' and '.join(others)} left out" if others else ""
