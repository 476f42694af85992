"""`tl report`: the report of a run, written again."""

import click

from tl.cli.shown_path import shown_path


@click.command()
@click.argument("run")
@click.option("--dataset", help="Where the run's pictures lie now, if they were moved.")
def report(run: str, dataset: str | None) -> None:
    """Write the report and the model card of a run again, from what lies in its folder.

    RUN is a folder below runs/, or the beginning or end of its name.
    """
    from tl.run_folder import find_run

    folder = find_run(run)
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.reopen import reopen_data
    from pipelines.report import write_report

    page = write_report(folder, reopen_data(folder, dataset))
    click.echo(f"report  {shown_path(page)}")
