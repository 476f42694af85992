"""`tl evaluate`: figures of an exported model."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tl.config_reading import read_config
from tl.words import counted


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    required=True,
    help="Folder, table, archive, or a built-in name.",
)
@click.option(
    "--allow-seen", is_flag=True, help="Also measure on pictures the model was trained with."
)
@click.option(
    "--tta",
    type=click.Choice(["none", "ten-crop", "multi-scale"]),
    default="none",
    show_default=True,
    help="Average over one, ten or fifty views of every picture.",
)
@click.option("--all", "closer", is_flag=True,
              help="Look closer: calibration, abstention, robustness, slices, speed.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="data.KEY=VALUE",
    help="How DATASET is read; repeat.",
)
def evaluate(
    model: Path,
    dataset: str,
    allow_seen: bool,
    tta: Any,
    closer: bool,
    as_json: bool,
    settings: tuple[str, ...],
) -> None:
    """Measure an exported model on labelled pictures.

    Taken are the test pictures of the stored split where DATASET is what the model was trained
    on, else its test/ folder, else all pictures; the answer names which.
    """
    data = read_config(None, settings, {"dataset": dataset}).data
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.evaluate import evaluate as run

    result = run(model, dataset, allow_seen=allow_seen, data=data, tta=tta, closer=closer)
    if as_json:
        facts = {
            "model": str(result.version),
            "measured_on": result.measured_on,
            "tta": result.tta,
            "seconds": round(result.seconds, 2),
            **result.metrics,
            **result.findings,
        }
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    click.echo(f"model        {result.version}")
    click.echo(f"measured on  {result.measured_on}")
    if tta != "none":
        click.echo(f"views        {tta}")
    rate = result.metrics["n_pictures"] / max(result.seconds, 1e-9)
    click.echo(f"took         {result.seconds:.1f} s ({rate:.1f} pictures a second)")
    from tl.evaluation.measures import MEASURES

    shown = [key for key in MEASURES[result.problem].shown if key in result.metrics]
    width = max(15, *map(len, shown))
    for key in shown:
        interval = result.metrics.get(f"{key}_interval")
        between = f"  {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        click.echo(f"{key:<{width}}  {result.metrics[key]:.4f}{between}")
    if result.unreadable:
        click.echo(f"{counted(len(result.unreadable), 'unreadable picture')} left out", err=True)
    for line in finding_lines(result.findings):
        click.echo(line)
    if "per_class" in result.metrics:
        _print_classes(result.metrics["per_class"])


def finding_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what a closer look found, in a few lines."""
    abstention = found.get("abstention", {})
    if abstention.get("coverage") is not None and abstention["achieved_error_rate"] is not None:
        yield (
            f"abstains        answers {abstention['coverage']:.1%} of the pictures, of which "
            f"{abstention['achieved_error_rate']:.1%} wrongly (asked: at most "
            f"{abstention['asked_error_rate']:.1%})"
        )
    for name, one in found.get("outside", {}).items():
        score = one.get("ood_score_auroc")
        shown = "not shipped" if score is None else f"{score:.3f}"
        yield (
            f"outside         {name}: AUROC of ood_score {shown}, of the largest probability "
            f"{one['largest_probability_auroc']:.3f}"
        )
    if robust := found.get("robustness"):
        yield f"harmed by       {robust['figure']} {robust['clean']['value']:.3f} as they are;"
        for kind, rows in robust["kinds"].items():
            figures = ", ".join(f"{row['value']:.3f}" for row in rows)
            yield f"                {kind}: {figures}"
    if slices := found.get("slices"):
        one = slices[0]
        chance = "no chance" if one["is_worse"] else "may be chance"
        here, there = (
            f"{value:.1%}" if one["of"] == "right" else f"{value:.4g}"
            for value in (one["figure"], one["elsewhere"])
        )
        what = "right" if one["of"] == "right" else "mean absolute error"
        yield (
            f"worst part      {one['cut']} {one['value']}: {here} {what}, elsewhere {there} "
            f"({chance})"
        )
    if speed := found.get("speed"):
        yield (
            f"speed           {speed.get('one_picture_ms', 0)} ms a picture, "
            f"{speed.get('pictures_per_second', 0)} pictures a second, {speed['megabytes']} MB"
        )


def _print_classes(classes: dict[str, dict[str, Any]]) -> None:
    width = max(len(name) for name in classes)
    words = {"average_precision": "AP", "n_pictures": "pictures"}
    columns = {key: words.get(key, key) for key in next(iter(classes.values()))}
    heads = "".join(f"  {word:>{max(5, len(word))}}" for word in columns.values())
    click.echo(f"{'class':<{width}}{heads}")
    for name, row in classes.items():
        cells = "".join(
            f"  {_cell(row[key]):>{max(5, len(word))}}" for key, word in columns.items()
        )
        click.echo(f"{name:<{width}}{cells}")


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
