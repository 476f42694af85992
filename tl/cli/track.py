"""`tl track`: what the experiment store has not received."""

from pathlib import Path

import click


@click.group()
def track() -> None:
    """Send runs that the experiment store missed."""


@track.command()
@click.argument("runs", nargs=-1, required=True)
def sync(runs: tuple[str, ...]) -> None:
    """Send what the journals of RUNS have and the store has not; nothing is sent twice."""
    from tl.run_folder import find_run
    from tl.tracking import default_store, sync_journal

    for run in runs:
        folder: Path = find_run(run)
        click.echo(f"{folder} is run {sync_journal(folder, default_store())} of the store")
