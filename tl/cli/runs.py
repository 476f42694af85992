"""`tl runs`: the runs of this folder, without MLflow."""

import json
from pathlib import Path

import click

from tl.errors import ConfigError, PromotionError, nearest
from tl.run_list import RunRow, as_plain, best_run, choose_runs, list_runs, value_of
from tl.words import counted

Labels = dict[tuple[str, str, int], list[str]]
"""Folder of models, model and version -> labels."""


@click.command()
@click.option("--where", multiple=True, metavar="KEY=VALUE",
              help="Only such runs; also KEY>NUMBER and KEY<NUMBER; repeat.")  # fmt: skip
@click.option("--model", help="Only runs of this model.")
@click.option("--sort", default="id", show_default="newest first", metavar="KEY",
              help="value (the headline, best first), a metric, or a setting.")  # fmt: skip
@click.option("--ascending/--descending", default=None, help="Turn the order round.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=0),
              help="Rows shown; 0 shows all.")  # fmt: skip
@click.option("--show", multiple=True, metavar="KEY", help="A further column; repeat.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, a run a line.")
def runs(
    where: tuple[str, ...],
    model: str | None,
    sort: str,
    ascending: bool | None,
    limit: int,
    show: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the runs below runs/, the best, and what is in production.

    KEY is a column, a metric (top_1_accuracy) or a setting (training.learning_rate).
    """
    rows = list_runs(
        Path("runs"),
        lambda record: click.echo(
            f"warning: {record} is damaged or not of this tl: its run is not listed", err=True
        ),
    )
    if model:
        models = sorted({row.model for row in rows})
        rows = [row for row in rows if row.model == model]
        if models and not rows:
            raise ConfigError(f"no run of a model {model!r}; {nearest(model, models)}")
    chosen = choose_runs(rows, where=where, sort=sort, ascending=ascending)
    labels = _labels(chosen)
    shown = chosen[:limit] if limit else chosen
    if as_json:
        for row in shown:
            served = _labels_of(row, labels)
            click.echo(json.dumps({**as_plain(row), "labels": served}, ensure_ascii=False))
        return
    if not rows:
        click.echo("no runs here: `tl finetune` writes them to runs/ in the folder it is called in")
        return
    if not chosen:
        click.echo(f"none of {counted(len(rows), 'run')} is like this")
        return
    best = best_run(chosen)
    click.echo(_table(shown, labels, best, show))
    if len(chosen) > len(shown):
        click.echo(f"{len(chosen) - len(shown):,} more; --limit 0 shows all")
    if best is not None and len(chosen) > 1:
        fewer = sum(
            row.metrics.get("n_pictures", 0) < best.metrics.get("n_pictures", 0)
            for row in chosen
            if row.value is not None
        )
        but = f", but for {fewer} measured on fewer pictures" if fewer else ""
        click.echo(
            f"best  {best.id}: {best.headline} {_figure(best)} of {counted(len(chosen), 'run')}"
            f"{but}; tl compare-runs says whether a difference is noise"
        )
    elif len(chosen) > 1:
        click.echo("no best: these runs are of several models or datasets; --model NAME takes one")


def _table(
    rows: list[RunRow],
    labels: Labels,
    best: RunRow | None,
    show: tuple[str, ...],
) -> str:
    heads = ["run", "state", "backbone", "strategy", "figure", "95 % interval", "version", *show]
    cells = [heads]
    for row in rows:
        version = f"{row.model}/{row.version}" if row.version else ""
        served = ", ".join(_labels_of(row, labels))
        interval = f"{row.interval[0]:.3f} to {row.interval[1]:.3f}" if row.interval else ""
        cells.append(
            [
                row.id + (" *" if best is not None and row.id == best.id else ""),
                row.state,
                row.backbone,
                row.strategy,
                f"{row.headline} {_figure(row)}" if row.value is not None else "",
                interval,
                f"{version} ({served})" if served else version,
                *(_cell(value_of(row, key)) for key in show),
            ]
        )
    widths = [max(len(line[place]) for line in cells) for place in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([click.style(lines[0], bold=True), *lines[1:]])


def _figure(row: RunRow) -> str:
    assert row.value is not None
    return f"{row.value:.4g}" if row.problem == "regression" else f"{row.value:.3f}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _labels(rows: list[RunRow]) -> Labels:
    """Return the labels that stand for versions, by the folder of models that a run wrote to."""
    from tl.promotion import CONFIG, read_labels

    found: Labels = {}
    for output in {_output(row) for row in rows}:
        if not Path(output, CONFIG).is_file():
            continue
        try:
            for model, labels in read_labels(Path(output)).items():
                for label, version in sorted(labels.items()):
                    found.setdefault((output, model, version), []).append(label)
        except PromotionError as error:
            click.echo(f"warning: {error}", err=True)
    return found


def _output(row: RunRow) -> str:
    """Return the folder of a run's models; beside runs/ where both were moved."""
    output = str(value_of(row, "output"))
    return output if Path(output).is_dir() else "models"


def _labels_of(row: RunRow, labels: Labels) -> list[str]:
    return labels.get((_output(row), row.model, row.version or 0), [])
