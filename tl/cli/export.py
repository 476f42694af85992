"""`tl export`: publish a run's weights again."""

import click

from tl.cli.finetune import unreadable_lines
from tl.cli.shown_path import shown_path
from tl.errors import TrackingError


@click.command()
@click.argument("run")
def export(run: str) -> None:
    """Write the SavedModel again from a run's weights, as the model's next version.

    RUN is a folder below runs/, or the beginning or end of its name. Works for runs that were
    stopped, too.
    """
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.export import export_run
    from pipelines.finish_run import tell_of_exports
    from pipelines.reopen import reopen_data
    from tl.evaluation.measures import headline_line
    from tl.run_folder import find_run
    from tl.tracking import store_of, sync_journal

    folder = find_run(run)
    exported = export_run(folder, reopen_data(folder))
    click.echo(f"model     {shown_path(exported.path)}")
    if exported.metrics:
        click.echo(headline_line(exported.problem, exported.metrics, exported.measured_on))
    for line in unreadable_lines(exported.unreadable):
        click.echo(line)
    tell_of_exports(folder)
    try:
        sync_journal(folder, store_of(folder))
    except TrackingError as error:  # the model is there; the store hears of it later
        click.echo(f"warning: {error}; tl track sync {folder.name} tries again", err=True)
