"""`tl augment`: what training pictures will look like."""

from pathlib import Path
from typing import Any

import click

from tl.config_reading import read_config


@click.command()
@click.option("--dataset", help="Folder, table, archive, or a built-in name.")
@click.option(
    "--recipe", help="none, light, default, alexnet, resnet, strong, randaugment or digits."
)
@click.option("--image-size", type=int, help="Side of the views in pixels.  [default: 224]")
@click.option("--seed", type=int, help="Of split and draws.  [default: 0]")
@click.option("--pictures", type=click.IntRange(1, 100), default=6, show_default=True,
              help="Rows of the sheet.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False),
              help="PNG to write.  [default: augment-RECIPE.png]")  # fmt: skip
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file of settings.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; repeat.")
def augment(
    file: Path | None,
    settings: tuple[str, ...],
    pictures: int,
    output: Path | None,
    **flags: Any,
) -> None:
    """Write a contact sheet: originals beside twelve draws of the training augmentation.

    Options, --set and the file are those of `tl finetune`, and so are the draws: the sheet shows
    what it would learn from. Recipes and transforms are listed in docs/augment.md.
    """
    keys = {
        "dataset": "dataset",
        "recipe": "augment.recipe",
        "image_size": "model.image_size",
        "seed": "seed",
    }
    config = read_config(file, settings, {keys[name]: value for name, value in flags.items()})
    from pipelines.contact_sheet import contact_sheet

    sheet = contact_sheet(config, output, pictures=pictures)
    click.echo(f"recipe  {sheet.recipe} at {sheet.image_size[0]} x {sheet.image_size[1]}")
    for one in sheet.transforms:
        values = ", ".join(f"{key} {value}" for key, value in one.items() if key != "name")
        click.echo(f"        {one['name']}{': ' if values else ''}{values}")
    click.echo(f"sheet   {sheet.path}")
