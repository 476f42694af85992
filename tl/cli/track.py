"""`tl track`: what the experiment store has not received."""

import os

import click

from tl.cli.shown_path import shown_path
from tl.errors import ConfigError, TrackingError
from tl.words import first_line


@click.group()
def track() -> None:
    """Send runs that the experiment store missed."""


@track.command()
@click.argument("runs", nargs=-1)
def sync(runs: tuple[str, ...]) -> None:
    """Send what the journals of RUNS have and the store has not; nothing is sent twice.

    Without RUNS, of all below runs/ that are not whole in the store. A run that was killed between
    its export and its end is finished, with its figures and its model.
    """
    from pipelines.finish_run import tell_of_exports, unsent_runs
    from tl.mlflow_sender import TIMEOUT_KEY
    from tl.run_folder import find_run
    from tl.tracking import store_of, sync_journal

    os.environ.setdefault(TIMEOUT_KEY, "120")  # nothing else waits for this
    folders = [find_run(run) for run in runs] if runs else unsent_runs()
    if not folders:
        click.echo("nothing to send: no run below runs/ has anything that the store lacks")
    failed = []
    for folder in folders:
        try:
            for version in tell_of_exports(folder):
                click.echo(f"{folder} had published {shown_path(version)} and not told of it")
            run_id = sync_journal(folder, store_of(folder))
            click.echo(f"sent  {folder}, in MLflow run {run_id}")
        except (TrackingError, ConfigError) as error:
            if len(folders) == 1:
                raise
            failed.append(f"{folder}: {error}")
        except (OSError, ValueError, KeyError) as error:  # one odd run keeps no other from it
            failed.append(f"{folder}: its journal or record is damaged: {first_line(error)}")
    if failed:
        raise TrackingError("; ".join(failed[:3]) + (" ..." if len(failed) > 3 else ""))
