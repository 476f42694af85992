"""`tl summary`: a network layer by layer."""

import json
import re
from typing import TYPE_CHECKING

import click

from tl.cli.one_form import one_form
from tl.cli.whole_table import print_whole
from tl.errors import ConfigError
from tl.zoo.backbones import find_backbone
from tl.zoo.summary.inputs import check_input

if TYPE_CHECKING:
    from tl.zoo.summary.described import Described


@click.command()
@click.argument("backbone")
@click.option(
    "--input",
    "input_size",
    metavar="PIXELS",
    help="Side of the pictures, or HEIGHTxWIDTH.  [default: the backbone's]",
)
@click.option(
    "--channels", type=int, default=3, show_default=True, help="Of the pictures: 3, or 1 for grey."
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=32, show_default=True,
    help="Pictures at a time, for the memory.",
)  # fmt: skip
@click.option(
    "--features", is_flag=True, help="What a head is put on, in place of the paper's classifier."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table in Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option("--html", "as_html", is_flag=True, help="Print a page with a diagram.")
def summary(
    backbone: str, input_size: str | None, channels: int, batch: int, features: bool,
    as_markdown: bool, as_json: bool, as_html: bool,
) -> None:  # fmt: skip
    """Describe a network layer by layer: shapes, memory, weights, multiply-adds, what it sees.

    BACKBONE is a name of `tl zoo`. Shown is the network of its paper with its classes; nothing is
    downloaded, and no memory is taken for the weights.
    """
    form = one_form(markdown=as_markdown, json=as_json, html=as_html)
    row = find_backbone(backbone)
    size = row.image_size if input_size is None else read_size(input_size)
    check_input(row, size, channels, features=features)
    from tl.cli.quiet import start_keras

    start_keras()
    from tl.zoo.summary.described import describe

    found = describe(row, size, channels=channels, features=features, batch=batch)
    if form == "json":
        click.echo(json.dumps(found.to_dict(), indent=2))
    elif form == "markdown":
        from tl.report.network_table import markdown

        click.echo(markdown(found), nl=False)
    elif form == "html":
        from tl.report.network_page import network_page

        click.echo(network_page(found), nl=False)
    else:
        _print(found)


def read_size(text: str) -> tuple[int, int]:
    """Read ``224`` or ``224x160`` as (height, width) in pixels.

    Raises:
        ConfigError: neither.
    """
    found = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text.strip())
    if found is None:
        raise ConfigError(
            f"--input {text!r} is no size: give pixels, such as 224, or height and width, such as "
            "224x160"
        )
    return int(found[1]), int(found[2] or found[1])


def _print(found: "Described") -> None:
    from rich.table import Table

    from tl.report.network_table import NOTE, columns_of, totals_of

    columns = columns_of(found)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column.title, justify="right" if column.is_number else "left", no_wrap=True
        )
    for layer in found.network.layers:
        table.add_row(*(column.text(layer) for column in columns))
    print_whole(table)
    click.echo()
    for name, text in totals_of(found).items():
        click.echo(f"{name:<14}{text}")
    click.echo(f"\n{NOTE}")
