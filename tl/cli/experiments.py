"""`tl experiments`: MLflow's web interface on the store that runs are logged to."""

import os
import socket
import sys
from pathlib import Path

import click

from tl.errors import TrackingError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port to listen on.")
def experiments(host: str, port: int) -> None:
    """Browse the runs in MLflow's web interface; Ctrl-C ends it."""
    from tl.tracking import default_store

    store = default_store()
    if store.uri.startswith(("http://", "https://")):
        click.echo(f"{store.uri}  is the MLflow server that runs are logged to")
        for line in _views(store.uri, store.uri):
            click.echo(line)
        return
    if store.artifacts is not None and not Path(store.artifacts.parent, "mlflow.db").is_file():
        raise TrackingError(
            f"no runs here: {store.artifacts.parent} has no mlflow.db. Run this in the folder that "
            "`tl finetune` ran in, or set MLFLOW_TRACKING_URI"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TrackingError(
                f"cannot listen on {host}:{port}: {error.strerror}. Pass another --port"
            ) from error
    click.echo(f"http://{host}:{port}  shows the runs in {store.uri}")
    sys.stdout.flush()
    for line in _views(store.uri, f"http://{host}:{port}"):
        click.echo(line)
    sys.stdout.flush()
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri,
             "--host", host, "--port", str(port), "--workers", "1",
             "--uvicorn-opts", "--log-level warning"]  # fmt: skip
    if store.artifacts is not None:
        words += ["--default-artifact-root", store.artifacts.as_uri()]
    os.execv(sys.executable, words)


def _views(uri: str, server: str) -> list[str]:
    """Return a link to each experiment, in which the best run comes first."""
    from tl.mlflow_sender import failure_words, mlflow_client
    from tl.mlflow_view import TAG, view_address

    try:
        found = mlflow_client(uri).search_experiments()
    except Exception as error:  # noqa: BLE001 - whatever the store does, its address is right
        return [f"warning: its experiments cannot be listed: {failure_words(error)}"]
    return [
        f"{view_address(server, one.experiment_id)}  {one.name}, the best run first"
        for one in found
        if TAG in one.tags
    ]
