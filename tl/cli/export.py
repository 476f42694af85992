"""`tl export`: publish a run's weights again."""

import click


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
    from tl.run_folder import find_run

    folder = find_run(run)
    exported = export_run(folder, reopen_data(folder))
    click.echo(f"model     {exported.path}")
    if exported.metrics:
        click.echo(
            f"accuracy  {exported.metrics['top_1_accuracy']:.3f} on "
            f"{exported.metrics['n_pictures']:,} pictures ({exported.measured_on})"
        )
