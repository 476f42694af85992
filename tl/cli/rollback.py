"""`tl rollback`: a label goes back to where it was."""

from pathlib import Path

import click

from tl.cli.promote import say_promoted


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "label", default="champion", show_default=True, help="Label to go back with.")
def rollback(model: Path, label: str) -> None:
    """Let a label stand for the version that it stood for before.

    MODEL is the folder of a model, or its name below models/.
    """
    from pipelines.promote import roll_back

    folder = model if model.is_dir() else Path("models") / model
    say_promoted(roll_back(folder.resolve(), label))
