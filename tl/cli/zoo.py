"""`tl zoo`: the backbones, whose weights are on this machine, and some beside each other."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tl.cli.one_form import one_form
from tl.cli.whole_table import print_whole
from tl.errors import ConfigError
from tl.zoo.backbones import BACKBONES, Backbone, find_backbone
from tl.zoo.imagenet_accuracy import ACCURACY, MILESTONES, SOURCE
from tl.zoo.weights import weights_at_hand

if TYPE_CHECKING:
    from pipelines.compare_backbones import Compared

PICTURES = (".png", ".svg")
_DASH = "a dash where none is published"
_WINNERS = "Winners of the ImageNet challenge, top-5 error in %:"


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a backbone.")
@click.pass_context
def zoo(context: click.Context, as_json: bool) -> None:
    """List the backbones, their size, and whether their weights are here."""
    if context.invoked_subcommand is not None:
        return
    rows = [_describe(backbone) for backbone in BACKBONES.values()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


@zoo.command()
@click.argument("names", nargs=-1)
@click.option(
    "--measure", is_flag=True,
    help="Run each with random weights, and say how many pictures a second it takes here.",
)  # fmt: skip
@click.option(
    "--picture", type=click.Path(path_type=Path), metavar="FILE",
    help="Draw accuracy against multiply-adds and parameters: FILE.png or FILE.svg.",
)  # fmt: skip
@click.option("--markdown", "as_markdown", is_flag=True, help="Print tables in Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.pass_context
def compare(
    context: click.Context, names: tuple[str, ...], measure: bool, picture: Path | None,
    as_markdown: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compare networks by accuracy, multiply-adds, parameters and memory.

    NAMES are those of `tl zoo`; without any, all. Accuracy is what Keras publishes of its weights,
    and a dash where it publishes none. Each network is that of its paper, with its classes.
    """
    # `tl zoo --json compare` means the same as `tl zoo compare --json`.
    above = context.parent.params if context.parent else {}
    form = one_form(markdown=as_markdown, json=as_json or bool(above.get("as_json")))
    backbones = [find_backbone(name) for name in dict.fromkeys(names)] or [*BACKBONES.values()]
    if picture is not None:
        _check_picture(picture, backbones)
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.compare_backbones import compare_backbones

    rows = compare_backbones(
        backbones, measure=measure, say=lambda line: click.echo(line, err=True)
    )
    if form == "json":
        click.echo(json.dumps(_compared_json(rows), indent=2))
    elif form == "markdown":
        _print_markdown(rows, measure=measure)
    else:
        _print_compared(rows, measure=measure)
    # Last: whatever becomes of the picture, what took minutes to measure has been printed.
    if picture is not None:
        _draw(rows, picture)


def _check_picture(file: Path, backbones: Sequence[Backbone]) -> None:
    """Refuse, before anything is measured, a picture that cannot be drawn or written."""
    if file.suffix.lower() not in PICTURES:
        raise ConfigError(f"--picture {file}: give a name that ends in .png or .svg")
    if not any(backbone.name in ACCURACY for backbone in backbones):
        raise ConfigError(
            f"--picture {file}: no accuracy is published of any of these, so that there is "
            "nothing to draw; name others, such as resnet50"
        )
    folder = file.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"--picture {file}: there is no folder {folder}")
    try:
        there = file.lstat()
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise _unwritable(file, error) from error
    if file.is_dir():
        raise ConfigError(f"--picture {file} is a folder: give the name of a file")
    if not os.access(folder if there is None else file, os.W_OK):
        raise ConfigError(
            f"--picture {file} cannot be written: no permission; give another folder or name"
        )


def _unwritable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(f"--picture {file} cannot be written: {error.strerror}")


def _draw(rows: "Sequence[Compared]", file: Path) -> None:
    from tl.report.bubble_chart import Bubble, bubble_chart

    bubbles = [
        Bubble(
            name=row.name,
            multiply_adds=row.multiply_adds,
            accuracy=row.top_1,
            parameters=row.parameters,
        )
        for row in rows
        if row.top_1 is not None
    ]
    drawn = bubble_chart(bubbles, file.suffix.lower()[1:], SOURCE, notes=[_milestones_line()])
    try:
        file.write_bytes(drawn)
    except OSError as error:
        raise _unwritable(file, error) from error
    left_out = [row.name for row in rows if row.top_1 is None]
    without = f" without {', '.join(left_out)}: no published accuracy" if left_out else ""
    click.echo(f"drew {file}{without}", err=True)


def _milestones_line() -> str:
    steps = (f"{one.when} {one.what} {one.top_5_error:g}" for one in MILESTONES)
    return f"{_WINNERS} {'; '.join(steps)}"


def _compared_json(rows: "Sequence[Compared]") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "accuracy_source": SOURCE,
        "backbones": [row.to_dict() for row in rows],
        "milestones": [asdict(one) for one in MILESTONES],
    }


def _print_markdown(rows: "Sequence[Compared]", *, measure: bool) -> None:
    _print_markdown_table(
        _compared_titles(measure=measure), [_compared_cells(row, measure=measure) for row in rows]
    )
    click.echo(f"\nAccuracy: {SOURCE}; {_DASH}.\n\n{_WINNERS}\n")
    _print_markdown_table(
        ["when", "what", "top-5 error", "exactly"],
        [[one.when, one.what, f"{one.top_5_error:g}", one.exact] for one in MILESTONES],
        words=(0, 1, 3),
    )


def _print_markdown_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[int] = (0,)
) -> None:
    """Print a table; columns that are not of words are numbers, which stand to the right."""
    sides = ["---" if at in words else "---:" for at in range(len(titles))]
    for line in (titles, sides, *rows):
        click.echo(f"| {' | '.join(line)} |")


def _print_compared(rows: "Sequence[Compared]", *, measure: bool) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, title in enumerate(_compared_titles(measure=measure)):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*_compared_cells(row, measure=measure))
    print_whole(table)
    click.echo(f"\nAccuracy: {SOURCE}; {_DASH}.")
    click.echo(_WINNERS)
    for one in MILESTONES:
        click.echo(f"  {one.when:<12}{one.what:<24}{one.top_5_error:>5}   {one.exact}")


def _compared_titles(*, measure: bool) -> list[str]:
    titles = ["backbone", "pixels", "top-1 %", "top-5 %", "multiply-adds (M)", "parameters",
              "MB to run"]  # fmt: skip
    return titles + ["pictures/s at 1", "at 32"] if measure else titles


def _compared_cells(row: "Compared", *, measure: bool) -> list[str]:
    height, width = row.image_size
    cells = [
        row.name,
        f"{height}" if height == width else f"{height}x{width}",
        "-" if row.top_1 is None else f"{row.top_1:.1f}",
        "-" if row.top_5 is None else f"{row.top_5:.1f}",
        f"{row.multiply_adds / 1e6:,.1f}",
        f"{row.parameters:,}",
        f"{row.forward_bytes / 1024**2:,.0f}",
    ]
    if measure:
        cells += [f"{speed:,.3g}" if speed < 100 else f"{speed:,.0f}"
                  for speed in row.pictures_per_second.values()]  # fmt: skip
    return cells


def _describe(backbone: Backbone) -> dict[str, Any]:
    files = backbone.published_files()
    path = weights_at_hand(backbone, environ=os.environ)
    return {
        "name": backbone.name,
        "image_size": list(backbone.image_size),
        "minimum_size": backbone.minimum_size,
        "parameters": backbone.parameters,
        "feature_size": backbone.feature_size,
        "preprocessing": backbone.preprocessing,
        # Keras publishes no sizes; float32 weights make up all but a few per cent of a file.
        "weights_bytes": path.stat().st_size if path else 4 * backbone.parameters,
        "weights_path": str(path) if path else None,
        "weights_whole": _whole(path) if path else None,
        "imagenet_files": [file.name for file in files],
        "imagenet_url": files[0].url if files else None,
    }


def _whole(path: Path) -> bool:
    from tl.zoo.download import is_whole

    try:
        return path.suffix != ".h5" or is_whole(path)
    except OSError:
        return False


def _where(row: dict[str, Any]) -> str:
    if row["weights_path"]:
        return "here" if row["weights_whole"] else "damaged"
    return "download" if row["imagenet_files"] else "none published"


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("backbone", no_wrap=True)
    for title in ("pixels", "parameters", "features", "weights MB"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['image_size'][0]}",
            f"{row['parameters']:,}",
            f"{row['feature_size']:,}",
            f"{row['weights_bytes'] / 1e6:,.1f}",
            _where(row),
        )
    Console().print(table)
    click.echo(
        "\nPixels: default height and width. --json names the files and where they were found."
    )
