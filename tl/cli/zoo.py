"""`tl zoo`: the backbones, and whose weights are on this machine."""

import json
import os
from typing import Any

import click

from tl.zoo.backbones import BACKBONES, Backbone
from tl.zoo.weights import weights_at_hand


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a backbone.")
def zoo(as_json: bool) -> None:
    """List the backbones, their size, and whether their weights are here."""
    rows = [_describe(backbone) for backbone in BACKBONES.values()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


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
        "imagenet_files": [file.name for file in files],
        "imagenet_url": files[0].url if files else None,
    }


def _where(row: dict[str, Any]) -> str:
    if row["weights_path"]:
        return "here"
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
