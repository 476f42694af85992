"""Find the weights that ``--weights`` asks for, on this machine first.

Receives a backbone and the user's choice, gives a checked path. No network is touched unless
ImageNet weights are wanted and not here; no TensorFlow is imported.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tl.download import file_digest
from tl.errors import ConfigError, WeightsError, nearest
from tl.zoo.backbones import BACKBONES, Backbone, find_backbone
from tl.zoo.download import check_offered, difference, download
from tl.zoo.published import PublishedFile

WEIGHTS_DIR_VARIABLE = "TL_WEIGHTS_DIR"
"""Environment variable that names a folder of weights files, searched before Keras' cache."""

_WORDS = ("auto", "imagenet", "tl", "none")
_PRETRAINED_FOLDER = Path(__file__).parent / "pretrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights that were found.

    Attributes:
        kind: where they come from.
        path: the file; None for random weights, and where they were not to be downloaded.
        source: one phrase for logs and for the person at the terminal.
        sha256: hex digest of the file; None for random weights.
        partial: whether layers that the file lacks stay random.
    """

    kind: Literal["imagenet", "tl", "file", "none"]
    path: Path | None
    source: str
    sha256: str | None
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneChoice:
    """A backbone with its weights, and why it was taken.

    Attributes:
        backbone: row of the table.
        weights: its weights, resolved.
        reason: a line to print where the program chose; None where the user named the backbone.
    """

    backbone: Backbone
    weights: Weights
    reason: str | None


def choose_backbone(
    name: str,
    choice: str,
    *,
    image_size: tuple[int, int] | None = None,
    fetch: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> BackboneChoice:
    """Resolve ``--backbone`` and ``--weights`` together.

    Args:
        name: a name of the table, or "auto": mobilenet_v2 where its ImageNet weights are here or
            can be fetched, else tl_small. A backbone the user named is never swapped.
        choice: as for ``resolve_weights``.
        image_size: (height, width) in pixels, or None for the backbone's own.
        fetch: as for ``resolve_weights``.
        environ: environment variables.

    Raises:
        ConfigError: unknown name, or a weights file without a named backbone.
        WeightsError: as for ``resolve_weights``.
    """
    if name != "auto":
        backbone = find_backbone(name)
        weights = resolve_weights(
            backbone, choice, image_size=image_size, fetch=fetch, environ=environ
        )
        return BackboneChoice(backbone=backbone, weights=weights, reason=None)
    if choice not in _WORDS and (path := Path(choice).expanduser()).exists():
        kind = "a folder" if path.is_dir() else "a file"
        raise ConfigError(
            f"--weights {choice} is {kind}, and --backbone auto cannot tell whose weights it "
            "holds. Name the backbone, for example --backbone mobilenet_v2."
        )
    preferred, shipped = find_backbone("mobilenet_v2"), find_backbone("tl_small")
    if choice == "tl":
        weights = resolve_weights(shipped, "tl")
        reason = "using tl_small, the backbone that --weights tl belongs to"
        return BackboneChoice(backbone=shipped, weights=weights, reason=reason)
    try:
        weights = resolve_weights(
            preferred, choice, image_size=image_size, fetch=fetch, environ=environ
        )
    except WeightsError as no_imagenet:
        if choice != "auto":
            raise
        try:
            weights = resolve_weights(shipped, "tl")
        except WeightsError as no_shipped:
            raise WeightsError(f"{no_imagenet} Nor can tl_small stand in: {no_shipped}") from None
        reason = f"using {shipped.name}, the shipped backbone, because {no_imagenet}"
        return BackboneChoice(backbone=shipped, weights=weights, reason=reason)
    reason = f"using {preferred.name} with {weights.source}"
    return BackboneChoice(backbone=preferred, weights=weights, reason=reason)


def resolve_weights(
    backbone: Backbone,
    choice: str,
    *,
    image_size: tuple[int, int] | None = None,
    fetch: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Weights:
    """Find the weights a user asked for.

    Args:
        backbone: row of the table.
        choice: "imagenet", "tl" (shipped with this package, for tl_small), "none" (random), the
            path of a file or of a run's folder, or "auto": "tl" for tl_small, "imagenet" for every
            other; for those that nobody publishes weights of, the file ``<name>.npz`` in
            TL_WEIGHTS_DIR.
        image_size: (height, width) in pixels; MobileNets have a file for each of several sizes.
        fetch: download what is not here; else only ask the server for it.
        environ: environment variables; TL_WEIGHTS_DIR and KERAS_HOME are read.

    Raises:
        ConfigError: the choice is neither a word nor a file, nobody publishes such weights, or
            TL_WEIGHTS_DIR is no folder.
        WeightsError: the weights are neither here nor to be had within seconds.
    """
    unnamed = choice == "auto"
    if unnamed:
        choice = "tl" if backbone.shipped_weights else "imagenet"
    if choice == "none":
        return Weights(kind="none", path=None, source="random weights", sha256=None)
    if choice == "tl":
        path = _shipped_path(backbone)
        return _found("tl", path, f"the weights shipped with tl ({path.name})")
    if choice == "imagenet" and backbone.weights_files is None:
        own = own_weights(backbone, environ) if unnamed else None
        if own is None:
            raise unpublished(backbone)
        return _found("file", own, f"the weights in {own}")
    if choice == "imagenet":
        return _imagenet(backbone, image_size, environ, fetch)
    path = weights_in(Path(choice).expanduser())
    if path.is_dir():
        raise ConfigError(
            f"--weights {choice} is a folder without a run's weights, one file that ends in "
            ".weights.h5; name a file"
        )
    if not path.is_file():
        raise ConfigError(
            f"--weights {choice} is neither a file nor a word that tl knows; "
            f"{nearest(choice, _WORDS)}"
        )
    return _found("file", path, f"the weights in {path}")


def weights_in(path: Path) -> Path:
    """Return the weights in the folder of an earlier run, or the path itself."""
    found = sorted(path.glob("*.weights.h5")) if path.is_dir() else []
    return found[0] if len(found) == 1 else path


def weights_at_hand(
    backbone: Backbone,
    *,
    image_size: tuple[int, int] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Path | None:
    """Return the pretrained weights of a backbone that are on this machine; never the network.

    Shipped weights first, then the ImageNet file for the image size, then that of another size;
    for those that nobody publishes weights of, ``own_weights``.
    """
    if backbone.weights_files is None:
        return own_weights(backbone, environ)
    if shipped := shipped_weights(backbone):
        return shipped
    files = (*backbone.published_files(image_size), *backbone.all_published_files())
    found = _first_local(files, environ)
    return found[1] if found else None


def own_weights(backbone: Backbone, environ: Mapping[str, str]) -> Path | None:
    """Return what `tl pretrain` wrote as ``<name>.npz`` into the folder TL_WEIGHTS_DIR, if it did.

    Raises:
        ConfigError: TL_WEIGHTS_DIR is no folder.
    """
    folder = _weights_folder(environ)
    # Options stand in the name behind ':'; such a network has other weights and another file.
    path = folder / f"{backbone.name}.npz" if folder else None
    return path if path and path.is_file() else None


def backbones_at_hand(
    *, image_size: tuple[int, int] | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Backbone, ...]:
    """Return the backbones whose pretrained weights are on this machine, in the table's order.

    Args:
        image_size: (height, width) in pixels that they have to take, or None for their own.
        environ: environment variables.
    """
    return tuple(
        row
        for row in BACKBONES.values()
        if min(image_size or row.image_size) >= row.minimum_size
        and weights_at_hand(row, image_size=image_size, environ=environ)
    )


def keras_cache(environ: Mapping[str, str]) -> Path:
    """Return the folder where Keras keeps downloaded weights."""
    home = environ.get("KERAS_HOME")
    return (Path(home) if home else Path("~/.keras").expanduser()) / "models"


def local_weights(
    backbone: Backbone,
    *,
    image_size: tuple[int, int] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Weights | None:
    """Return the pretrained weights of `weights_at_hand`, checked; never the network.

    Raises:
        WeightsError: the file is not the one that was published.
    """
    if shipped_weights(backbone):
        return resolve_weights(backbone, "tl")
    if backbone.weights_files is None:
        own = own_weights(backbone, environ)
        return _found("file", own, f"the weights in {own}") if own else None
    exact = _local_imagenet(backbone, backbone.published_files(image_size), environ)
    return exact or _of_another_size(backbone, image_size, environ)


def _imagenet(
    backbone: Backbone,
    image_size: tuple[int, int] | None,
    environ: Mapping[str, str],
    fetch: bool,
) -> Weights:
    exact = backbone.published_files(image_size)
    if found := _local_imagenet(backbone, exact, environ):
        return found
    try:
        if not fetch:
            check_offered(exact[0])
            words = f"ImageNet weights to be downloaded from {exact[0].url}"
            return Weights(kind="imagenet", path=None, source=words, sha256=None)
        path = download(exact[0], keras_cache(environ))
    except WeightsError as no_download:
        if found := _of_another_size(backbone, image_size, environ):
            return found
        raise _not_to_be_had(backbone, exact, environ, no_download) from no_download
    return _found("imagenet", path, f"ImageNet weights downloaded to {path}")


def _local_imagenet(
    backbone: Backbone, files: tuple[PublishedFile, ...], environ: Mapping[str, str]
) -> Weights | None:
    found = _first_local(files, environ)
    if not found:
        return None
    file, path = found
    _refuse_altered(backbone, file, path)
    return _found("imagenet", path, f"ImageNet weights from {path}")


def _of_another_size(
    backbone: Backbone, image_size: tuple[int, int] | None, environ: Mapping[str, str]
) -> Weights | None:
    """Find what was trained on another size: convolutions fit every one, and serve a bit worse."""
    found = _local_imagenet(backbone, backbone.all_published_files(), environ)
    if found is None:
        return None
    wanted = backbone.published_files(image_size)[0].name
    return replace(found, source=f"{found.source}, trained on another size: no {wanted} here")


def unpublished(backbone: Backbone) -> ConfigError:
    """Return the error of asking for ImageNet weights that nobody publishes."""
    return ConfigError(
        f"{backbone.name} has no pretrained weights: Keras publishes none, and none come with tl. "
        f"Train some with `tl pretrain --backbone {backbone.name}`, pass a file with --weights "
        "FILE, or begin from random ones with --weights none."
    )


def _not_to_be_had(
    backbone: Backbone,
    files: tuple[PublishedFile, ...],
    environ: Mapping[str, str],
    cause: WeightsError,
) -> WeightsError:
    folder = environ.get(WEIGHTS_DIR_VARIABLE)
    searched = f"{folder} and {keras_cache(environ)}" if folder else f"{keras_cache(environ)}"
    return WeightsError(
        f"{backbone.name} has no ImageNet weights here: {files[0].name} is not in {searched}, and "
        f"there is no download ({cause}). Put it, or {files[1].name}, into "
        f"{keras_cache(environ)}, name the folder that has it with {WEIGHTS_DIR_VARIABLE}, or pass "
        "the file with --weights FILE."
    )


def _first_local(
    files: tuple[PublishedFile, ...], environ: Mapping[str, str]
) -> tuple[PublishedFile, Path] | None:
    folders = weights_folders(environ)
    places = ((file, folder / file.name) for folder in folders for file in files)
    return next(((file, path) for file, path in places if path.is_file()), None)


def weights_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders that ImageNet weights are looked for in, in their order.

    Raises:
        ConfigError: TL_WEIGHTS_DIR is no folder.
    """
    named = _weights_folder(environ)
    return [*([named] if named else []), keras_cache(environ)]


def shipped_weights(backbone: Backbone) -> Path | None:
    """Return the file that came with tl, if it did."""
    path = _shipped_place(backbone)
    return path if path and path.is_file() else None


def _shipped_place(backbone: Backbone) -> Path | None:
    return _PRETRAINED_FOLDER / backbone.shipped_weights if backbone.shipped_weights else None


def _weights_folder(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(WEIGHTS_DIR_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise ConfigError(
            f"{WEIGHTS_DIR_VARIABLE}={named} is not a folder. Name a folder of weights files, "
            "or unset it."
        )
    return Path(named)


def _refuse_altered(backbone: Backbone, file: PublishedFile, path: Path) -> None:
    if problem := difference(path, file):
        raise WeightsError(
            f"{path} is not the file that Keras publishes under this name: it is one {problem}. "
            f"`{fetch_command(backbone, path)}` keeps it aside and downloads it anew; if it is "
            f"yours, pass it with --weights {path}."
        )


def fetch_command(backbone: Backbone, path: Path) -> str:
    """Return the command that downloads a published file of a backbone to a path."""
    words = f"tl weights fetch {backbone.name} --to {shlex.quote(str(path.parent))}"
    for side in backbone.trained_sizes:
        no_top, with_top = backbone.published_files((side, side))
        if side != 224 and path.name in (no_top.name, with_top.name):
            words += f" --image-size {side}"
    tops = [file.name for file in backbone.all_published_files()[1::2]]
    return f"{words} --top" if path.name in tops else words


def _shipped_path(backbone: Backbone) -> Path:
    if backbone.weights_files is None:
        raise unpublished(backbone)
    place = _shipped_place(backbone)
    if place is None:
        raise ConfigError(
            f"no weights of {backbone.name} are shipped with tl, only those of tl_small. Pass "
            "--weights imagenet, --weights FILE, or --backbone tl_small."
        )
    if not place.is_file():
        raise WeightsError(
            f"this copy of tl was packaged without {place.name}, the weights of {backbone.name}. "
            "Install a complete package, or pass --weights imagenet, FILE or none."
        )
    return place


def _found(kind: Literal["imagenet", "tl", "file"], path: Path, source: str) -> Weights:
    return Weights(kind=kind, path=path, source=source, sha256=file_digest(path, "sha256"))
