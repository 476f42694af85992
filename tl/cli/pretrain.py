"""`tl pretrain`: a backbone from random weights."""

import shlex
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--dataset",
    required=True,
    help="Folder, table, archive, or a built-in name.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), required=True,
    help="The .npz file to write; provenance goes beside it as .json.",
)  # fmt: skip
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), required=True,
    help="Folder that a killed run goes on from.",
)  # fmt: skip
@click.option("--backbone", default="tl_small", show_default=True, help="A name of `tl zoo`.")
@click.option("--keep", help="Write only the layers that this other name of `tl zoo` has.")
@click.option("--image-size", default=64, show_default=True, help="Side in pixels.")
@click.option("--grow-from", type=int, help="Side to begin with, to grow in three steps.")
@click.option("--recipe", default="default", show_default=True,
              help="Augmentation, as of `tl finetune`, such as randaugment.")  # fmt: skip
@click.option("--label-smoothing", default=0.0, show_default=True,
              help="Share of a label's mass spread over all classes.")  # fmt: skip
@click.option("--ema", default=0.0, show_default=True,
              help="Momentum of the moving average of the weights, such as 0.999.")  # fmt: skip
@click.option("--learning-rate", default=2e-3, show_default=True, help="Peak of the cosine.")
@click.option("--epochs", default=30, show_default=True, help="Passes over the pictures.")
@click.option("--batch-size", default=128, show_default=True, help="Pictures an update.")
@click.option("--seed", default=0, show_default=True, help="Of weights, order and augmentation.")
@click.option("--licence", default="not stated", help="Of the pictures, for the provenance file.")
def pretrain(
    dataset: str,
    output: Path,
    checkpoint: Path,
    backbone: str,
    keep: str | None,
    image_size: int,
    grow_from: int | None,
    recipe: str,
    label_smoothing: float,
    ema: float,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    seed: int,
    licence: str,
) -> None:
    """Train a backbone from random weights, resumable, and write it in float16.

    Ctrl-C and SIGTERM end it after the update under way, a second one at once. The same command
    goes on from there.
    """
    from pipelines.pretrain_config import PretrainConfig

    config = PretrainConfig(
        dataset=dataset, output=output, checkpoint=checkpoint, backbone=backbone, keep=keep,
        image_size=image_size, grow_from=grow_from, recipe=recipe, ema=ema,
        label_smoothing=label_smoothing, learning_rate=learning_rate, epochs=epochs,
        batch_size=batch_size, seed=seed, licence=licence,
    )  # fmt: skip
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines.pretrain import leaves_auxiliary_out
    from pipelines.pretrain import pretrain as run
    from tl.cli.progress import progress_listener

    if why := leaves_auxiliary_out(config):
        click.echo(why, err=True)
    result = run(config, progress_listener(), "tl " + shlex.join(sys.argv[1:]))
    click.echo(
        f"{result.weights}  held-out accuracy {result.accuracy:.4f}, top-5 {result.top_5:.4f}  "
        f"{result.provenance}"
    )
