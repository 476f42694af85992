"""`tl weights`: files of pretrained weights."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tl.errors import ConfigError, WeightsError
from tl.words import counted

if TYPE_CHECKING:
    from tl.zoo.backbones import Backbone


@click.group()
def weights() -> None:
    """List, fetch and verify files of pretrained weights.

    They are looked for in the folder that TL_WEIGHTS_DIR names, then in Keras' cache.
    """


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a file.")
def list_files(as_json: bool) -> None:
    """List the files that are here: of which backbone, from where, with which hash and licence.

    Every file is read whole, for its hash.
    """
    from tl.zoo.inventory import inventory
    from tl.zoo.weights import weights_folders

    files = list(inventory())
    if as_json:
        rows = [{**dataclasses.asdict(one), "path": str(one.path)} for one in files]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in files:
        click.echo(f"{one.backbone:<22}  {one.size / 1e6:>7.1f} MB  {one.licence:<24}  {one.path}")
        click.echo(f"    {one.state}; sha256 {one.sha256}; {one.source}")
    searched = " and ".join(str(folder) for folder in weights_folders(os.environ))
    click.echo(f"{counted(len(files), 'file')}; searched: {searched}")


@weights.command()
@click.argument("backbones", nargs=-1, required=True, metavar="BACKBONE...")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to carry to a machine without a network; else Keras' cache.",
)
@click.option("--image-size", type=int, help="Of several sizes, those trained on this one.")
@click.option("--top", is_flag=True, help="With the 1000 classes of ImageNet.")
def fetch(
    backbones: tuple[str, ...], folder: Path | None, image_size: int | None, top: bool
) -> None:
    """Download the ImageNet weights of BACKBONEs, checked by their digest.

    A file of that name that is another one, or damaged, is kept aside as FILE.refused. On the
    other machine, name the folder with TL_WEIGHTS_DIR.
    """
    from tl.zoo.backbones import find_backbone
    from tl.zoo.download import Unreachable, difference, download
    from tl.zoo.inventory import licence_of
    from tl.zoo.weights import keras_cache, unpublished, weights_folders

    weights_folders(os.environ)  # which a run would refuse, if it is none
    rows = [find_backbone(name) for name in backbones]
    place = folder or keras_cache(os.environ)
    for row in rows:
        files = row.published_files(_sides(row, image_size))
        if not files:
            raise unpublished(row)
        file = files[1 if top else 0]
        path = place / file.name
        if path.is_file() and difference(path, file) is None:
            click.echo(f"here already  {path}")
            continue
        try:
            path = download(
                file,
                place,
                on_kept=lambda kept: click.echo(f"kept aside  what had this name, as {kept}"),
            )
        except Unreachable as error:
            raise WeightsError(
                f"{error}. Try again where there is a network; --to FOLDER puts it into a folder "
                "to carry here and to name with TL_WEIGHTS_DIR"
            ) from error
        click.echo(f"fetched  {path}  {path.stat().st_size / 1e6:.1f} MB, {licence_of(row)}")


@weights.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--backbone", help="Compare FILE with this backbone, layer by layer.")
def verify(file: Path | None, backbone: str | None) -> None:
    """Compare files with the digests that are known; exit 1 where one is altered or damaged.

    Keras has those of its files, and what `tl pretrain` writes beside a file that of this one.

    Without FILE all that `tl weights list` finds. With --backbone, say of each layer whether a run
    would take what FILE, or the folder of a run, has for it.
    """
    if backbone is not None:
        if file is None:
            raise ConfigError("--backbone compares one file with a network: name the FILE, too")
        _compare(file, backbone)
        return
    from tl.zoo.backbones import find_backbone
    from tl.zoo.inventory import inventory
    from tl.zoo.weights import fetch_command

    found = list(inventory(only=None if file is None else _present(file)))
    if file is not None and not found:
        raise ConfigError(
            f"{file} has no name that Keras publishes weights under: nothing is known to compare "
            "it with. --backbone NAME compares its layers"
        )
    for one in found:
        click.echo(f"{one.state:<22}  {one.backbone:<22}  {one.path}")
    if altered := [one for one in found if one.state in ("altered", "damaged")]:
        first = altered[0]
        advice = "copy it again from where it was made, or take it away"
        if first.kind == "imagenet":
            command = fetch_command(find_backbone(first.backbone), first.path)
            advice = f"`{command}` keeps it aside and downloads it anew"
        elif first.kind == "tl":
            advice = "install tl anew"
        raise WeightsError(
            f"{counted(len(altered), 'file')} altered or damaged, the first {first.path}: {advice}"
        )


def _present(file: Path) -> Path:
    """Return a file, or that of a run's folder."""
    from tl.zoo.weights import weights_in

    found = weights_in(file.expanduser())
    if not found.is_file():
        raise ConfigError(f"{file}: no such file, nor the folder of a run that has weights")
    return found


def _compare(file: Path, name: str) -> None:
    from tl.cli.quiet import start_keras
    from tl.zoo.backbones import find_backbone

    row = find_backbone(name)
    file = _present(file)
    start_keras()
    from tl.zoo.build import build_backbone
    from tl.zoo.load import compare_layers
    from tl.zoo.provenance import refuse_other_form

    found = compare_layers(build_backbone(row), file)
    for one in found.layers:
        click.echo(f"{one.layer:<32}  {one.fault or 'fits'}")
    for layer in found.others:
        between = ", between layers of the network" if layer in found.foreign else ""
        click.echo(f"{layer:<32}  only in the file{between}")
    fitting = sum(one.fits for one in found.layers)
    click.echo(
        f"{fitting} of {counted(len(found.layers), 'layer')} fit; {len(found.others)} only in the "
        f"file{': it is of a larger network' if found.foreign else ''}"
    )
    if fitting < len(found.layers) or found.foreign:
        sys.exit(1)
    refuse_other_form(row.name, file)


@weights.command()
@click.argument("backbone")
@click.option("--image-size", type=int, help="That they are wanted for.")
def path(backbone: str, image_size: int | None) -> None:
    """Print the file that a run of BACKBONE would take, without the network."""
    from tl.zoo.backbones import find_backbone
    from tl.zoo.weight_files import open_layers
    from tl.zoo.weights import local_weights, unpublished

    row = find_backbone(backbone)
    found = local_weights(row, image_size=_sides(row, image_size))
    if found is None and row.weights_files is None:
        raise unpublished(row)
    if found is None:
        raise WeightsError(
            f"no weights of {row.name} are on this machine; `tl weights fetch {row.name}` gets "
            "what Keras publishes, `tl weights list` shows what is here"
        )
    assert found.path is not None
    if row.weights_files is None:  # those of Keras are compared with what was published
        with open_layers(found.path):
            pass
    click.echo(str(found.path))


def _sides(row: "Backbone", image_size: int | None) -> tuple[int, int] | None:
    """Return (height, width) in pixels.

    Raises:
        ConfigError: smaller than the backbone can take.
    """
    if image_size is None:
        return None
    row.check_size((image_size, image_size))
    return image_size, image_size
