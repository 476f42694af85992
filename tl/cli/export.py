"""`tl export`: publish a run's weights again."""

import dataclasses

import click

from tl.cli.finetune import unreadable_lines
from tl.cli.shown_path import shown_path
from tl.config_reading import read_config
from tl.errors import ConfigError, TrackingError


@click.command()
@click.argument("run")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="evaluation.KEY=VALUE",
    help="How the model is looked at, as evaluation.parity=0 for no certificate; repeat.",
)
@click.option("--dataset", help="Where the run's pictures lie now, if they were moved.")
def export(run: str, settings: tuple[str, ...], dataset: str | None) -> None:
    """Write the SavedModel again from a run's weights, as the model's next version.

    RUN is a folder below runs/, or the beginning or end of its name. Works for runs that were
    stopped, too.
    """
    from tl.run_folder import find_run, read_record

    folder = find_run(run)
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.export import export_run
    from pipelines.finish_run import looked_for_if_killed, tell_of_exports
    from pipelines.reopen import reopen_data
    from tl.evaluation.measures import headline_line
    from tl.tracking import store_of, sync_journal

    had = read_record(folder).config
    config = read_config(None, settings, base=had)
    if dataclasses.replace(config, evaluation=had.evaluation) != had:
        raise ConfigError(
            f"--set {' '.join(settings)}: an export takes evaluation.KEY=VALUE only; for another "
            "training: tl finetune"
        )
    data = reopen_data(folder, dataset)
    with looked_for_if_killed(folder):
        exported = export_run(folder, data, config.evaluation)
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
