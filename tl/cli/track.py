"""`tl track`: what the experiment store has not received."""

import click

from tl.errors import TrackingError


@click.group()
def track() -> None:
    """Send runs that the experiment store missed."""


@track.command()
@click.argument("runs", nargs=-1)
def sync(runs: tuple[str, ...]) -> None:
    """Send what the journals of RUNS have and the store has not; nothing is sent twice.

    Without RUNS, of all below runs/ that are not whole in the store. A run that was killed after
    its export is told of its model.
    """
    from pipelines.finish_run import finish_killed, unsent_runs
    from tl.run_folder import find_run
    from tl.tracking import default_store, sync_journal

    folders = [find_run(run) for run in runs] if runs else unsent_runs()
    if not folders:
        click.echo("nothing to send: the store has all runs")
    failed: list[str] = []
    for folder in folders:
        try:
            if version := finish_killed(folder):
                click.echo(f"{folder} was killed after its export: {version} belongs to it")
            click.echo(f"{folder} is run {sync_journal(folder, default_store())} of the store")
        except TrackingError as error:
            if len(folders) == 1:
                raise
            failed.append(f"{folder}: {error}")
    if failed:
        raise TrackingError("; ".join(failed[:3]) + (" ..." if len(failed) > 3 else ""))
