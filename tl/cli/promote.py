"""`tl promote`: a label moves to a run's version."""

import sys

import click

from tl.cli.shown_path import shown_path


@click.command()
@click.argument("run")
@click.option("--to", "label", required=True, help="Label, such as champion.")
def promote(run: str, label: str) -> None:
    """Let a label such as champion stand for a run's model, for servers and in MLflow.

    RUN is a run or the folder of a version. models/models.config is what servers are started with:

        tl serve --model_config_file=models/models.config --model_config_file_poll_wait_seconds=5
    """
    from pipelines.promote import promote as run_it

    say_promoted(run_it(run, label))


def say_promoted(result: object) -> None:
    """Print what came of it; a store that did not take the alias is a failure to be mended."""
    from pipelines.promote import Promoted

    assert isinstance(result, Promoted)
    one = result.promotion
    before = f" (before: {one.before})" if one.before not in (None, one.version) else ""
    click.echo(f"label   {one.model} {one.version} is {one.label}{before}")
    click.echo(f"served  {shown_path(result.models / 'models.config')}")
    if result.alias_fault is None:
        click.echo(f"MLflow  models:/{one.model}@{one.label}")
        return
    click.echo(
        f"warning: it is served, but MLflow does not know of it yet: {result.alias_fault}. The "
        "next tl command tries again",
        err=True,
    )
    sys.exit(1)
