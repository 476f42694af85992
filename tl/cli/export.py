"""`tl export`: publish a run's weights again."""

import click

from tl.cli.finetune import unreadable_lines
from tl.cli.shown_path import shown_path


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
    from pipelines.reopen import reopen_data
    from tl.evaluation.measures import headline_line
    from tl.run_folder import find_run

    folder = find_run(run)
    exported = export_run(folder, reopen_data(folder))
    click.echo(f"model     {shown_path(exported.path)}")
    if exported.metrics:
        click.echo(headline_line(exported.problem, exported.metrics, exported.measured_on))
    for line in unreadable_lines(exported.unreadable):
        click.echo(line)
