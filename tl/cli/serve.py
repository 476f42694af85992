"""`tl serve`: the server of the `serving` distribution, with its own flags."""

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def serve(words: tuple[str, ...]) -> int:
    """Answer HTTP and gRPC predictions with TensorFlow Serving's protocol."""
    # Not parsed here: the server takes tensorflow_model_server's spelling too.
    from serving.server import main

    return main(words)
