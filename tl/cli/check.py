"""`tl check`: what is wrong with a dataset."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tl.cli.shown_path import shown_path
from tl.config_reading import read_config
from tl.words import counted

if TYPE_CHECKING:
    from pipelines.check import Manifest
    from tl.data.check import CheckReport


@click.command()
@click.option("--dataset", required=True, help="What `tl finetune --dataset` takes.")
@click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), help="Also write a page with the pictures."
)
@click.option(
    "--fix",
    "fixed",
    type=click.Path(path_type=Path),
    help="Also write a CSV without the faults, for --dataset. No picture is changed.",
)
@click.option(
    "--show",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Findings of each kind to print; 0 is all.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; repeat.")
def check(
    dataset: str,
    as_json: bool,
    page: Path | None,
    fixed: Path | None,
    show: int,
    settings: tuple[str, ...],
) -> None:
    """Look at every picture of a dataset and say what is wrong with it.

    Errors are what stops training or makes its number wrong: unreadable files, the same or nearly
    the same picture under two labels or on two sides of a given split, a class too small to split.
    The rest are warnings. The exit code is 1 where there is an error, 0 where there is none.
    """
    config = read_config(None, settings, {"dataset": dataset})
    from pipelines.check import check as run
    from pipelines.check import refuse_outputs, write_manifest, write_page

    refuse_outputs(page, fixed)
    with _bar() as (start, advance):
        report = run(
            config.dataset, config.data, fix=fixed is not None, on_start=start, on_progress=advance
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        for line in report_lines(report, show):
            click.echo(line)
    if page is not None:
        write_page(report, config.data, page)
        click.echo(f"page      {shown_path(page)}", err=as_json)
    if fixed is not None:
        for line in manifest_lines(write_manifest(report, config.data, fixed)):
            click.echo(line, err=as_json)
    if report.count("error"):
        sys.exit(1)


def report_lines(report: "CheckReport", show: int) -> list[str]:
    """Describe a report for people: a line a kind, and its first findings.

    Args:
        report: what was found.
        show: findings of each kind; 0 is all.
    """
    from itertools import groupby

    from tl.data.answers import answer_words
    from tl.data.findings.finding import KINDS, printable

    lines = [
        f"{printable(report.dataset.name)}: {counted(len(report.dataset), 'picture')} "
        f"{answer_words(report.dataset)}"
    ]
    for kind, group in groupby(report.findings, lambda one: one.kind):
        found = list(group)
        severity, what = KINDS[kind]
        colour = "red" if severity == "error" else "yellow"
        lines += ["", f"{click.style(f'{severity:<8}', fg=colour)}{len(found):>7,}  {what}"]
        shown = found[: show or None]
        lines += [f"{'':17}{printable(one.message)}" for one in shown]
        if len(found) > len(shown):
            lines.append(f"{'':17}... and {len(found) - len(shown):,} more (--show 0)")
    lines += [
        "",
        f"{counted(report.count('error'), 'error')}, {counted(report.count('warning'), 'warning')}",
    ]
    return lines


def manifest_lines(made: "Manifest") -> list[str]:
    """Say what a manifest has and has not, and how to use it."""
    from tl.data.clean import reasons
    from tl.data.findings.finding import printable

    cleaned = made.cleaned
    path = shown_path(made.path)
    lines = [f"cleaned   {path}: {counted(len(cleaned.rows), 'picture')}; no picture was changed"]
    lines += [f"          {count:,} left out: {why}" for why, count in reasons(cleaned).items()]
    lines += [f"          {printable(old)!r} is now {new!r}" for old, new in cleaned.renamed]
    root = f" --set data.root={made.root}" if made.root else ""
    problem = " --problem regression" if cleaned.problem == "regression" else ""
    return [*lines, f"next      tl finetune --dataset {path}{root}{problem}"]


@contextlib.contextmanager
def _bar() -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Give functions that start and advance a bar; it shows on a terminal only."""
    if not sys.stderr.isatty():
        yield (lambda count: None), (lambda done: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    progress = Progress(
        "looking at pictures", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task: Any = progress.add_task("", start=False)

    def start(count: int) -> None:
        progress.update(task, total=count)
        progress.start_task(task)

    with progress:
        yield start, lambda done: progress.update(task, completed=done)
