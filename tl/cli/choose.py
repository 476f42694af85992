"""`tl choose`: which backbone to take for a dataset."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

from tl.config import RunConfig
from tl.config_reading import read_config, setting_key
from tl.durations import duration_words, parse_duration


@click.command()
@click.option("--dataset", help="What `tl finetune --dataset` takes.")
@click.option(
    "--time-budget",
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Such as 90s, 5m or 1h30m, from when TensorFlow has started.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything that was found as JSON.")
@click.option(
    "--problem",
    type=click.Choice(["auto", "single_label", "multi_label", "regression"]),
    help="One class a picture, several, or a number.  [default: auto: as labelled]",
)
@click.option("--image-size", type=int, help="Side in pixels.  [default: each backbone's]")
@click.option("--seed", type=int, help="Of split, folds and sample.  [default: 0]")
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file of settings.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; repeat.")
def choose(
    time_budget: str, as_json: bool, file: Path | None, settings: tuple[str, ...], **flags: Any
) -> None:
    """Rank the backbones whose weights are on this machine by what they know of your pictures.

    A linear probe on the features of each is judged by pictures it did not learn from. Nothing
    is downloaded or trained; the features are kept for the `tl finetune` that follows. The last
    line is the command to type.
    """
    budget_s = parse_duration(time_budget, "--time-budget")
    config = read_config(file, settings, {setting_key(key): value for key, value in flags.items()})
    from pipelines.plan import plan_data

    if config.model.backbone != "auto":
        click.echo(
            f"note      model.backbone = {config.model.backbone!r}: all are ranked", err=True
        )
    data = plan_data(config)
    click.echo("starting TensorFlow ...", err=True)
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.choice import ranking_lines
    from pipelines.choose import choose as run

    choice = run(config, data, budget_s=budget_s, say=lambda line: click.echo(line, err=True))
    command = next_command(config, file, settings, flags, choice.ranking.recommended)
    if as_json:
        click.echo(json.dumps({**choice.to_dict(), "command": command}, indent=2))
        return
    for line in ranking_lines(choice):
        click.echo(line)
    if len(choice.tried) == 1 and not choice.not_tried:
        for line in more_backbones_lines(choice.ranking.recommended):
            click.echo(line)
    click.echo(f"time      {duration_words(choice.seconds)} of {duration_words(budget_s)}")
    click.echo(f"next      {command}")


def next_command(
    config: RunConfig,
    file: Path | None,
    settings: tuple[str, ...],
    flags: dict[str, Any],
    backbone: str,
) -> str:
    """Return the command that fine-tunes what was recommended, with what else was typed."""
    words = ["tl", "finetune", "--dataset", config.dataset, "--backbone", backbone]
    for key in ("problem", "image_size", "seed"):
        if flags.get(key) is not None:
            words += [f"--{key.replace('_', '-')}", str(flags[key])]
    if file is not None:
        words += ["--config", str(file)]
    for setting in settings:
        words += ["--set", setting]
    return shlex.join(words)


def more_backbones_lines(only: str) -> list[str]:
    """Say that there was nothing to choose between, and how to get more."""
    return [
        f"only      {only} has weights on this machine, so there was nothing to choose between. "
        "Put weights",
        "          files of others into a folder and name it with TL_WEIGHTS_DIR, or into Keras' "
        "cache;",
        "          `tl zoo --json` names the files and where to get them; docs/zoo.md says more",
    ]
