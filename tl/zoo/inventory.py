"""The files of pretrained weights on this machine: whose they are, and whether as published."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tl.download import file_digest
from tl.errors import ConfigError, WeightsError
from tl.zoo.backbones import BACKBONES, Backbone, find_backbone
from tl.zoo.download import difference
from tl.zoo.provenance import provenance_of
from tl.zoo.published import PublishedFile
from tl.zoo.weight_files import open_layers
from tl.zoo.weights import own_weights, shipped_weights, weights_folders

State = Literal[
    "as published", "altered", "damaged", "no digest is published", "as recorded", "own"
]

NOT_STATED = "not stated by Keras"
_LICENCES = {
    "VGG": "CC BY 4.0 (VGG, Oxford)",
    "ResNet50": "MIT (Kaiming He)",
    "Inception": "Apache-2.0 (Google)",
    "MobileNetV3": NOT_STATED,
    "MobileNet": "Apache-2.0 (Google)",
    "NASNet": "Apache-2.0 (Google)",
    "DenseNet": "BSD-3-Clause (Liu)",
}
"""By the beginning of the Keras class, as Keras' documentation states (docs of 2.3, applications);
of newer families it states none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """A file of weights.

    Attributes:
        path: where it lies.
        backbone: whose weights it holds.
        kind: ``imagenet``, ``tl`` (shipped), or ``own``, as `tl pretrain` writes it.
        size: in bytes.
        state: whether it is what was published; of shipped and own ones, what the provenance beside
            it has the hash of (``as recorded``), and else whether it can be read as weights.
        licence: of published ones, as Keras states it; of own ones, as `tl pretrain` was told.
        source: its address, or in words where it has none.
        sha256: hex digest of the file here.
        digest: what Keras publishes, md5 or sha256 in hex; None where it publishes none.
    """

    path: Path
    backbone: str
    kind: Literal["imagenet", "tl", "own"]
    size: int
    state: State
    licence: str
    source: str
    sha256: str
    digest: str | None


def inventory(
    *, only: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Iterator[WeightsFile]:
    """Give the files of weights that tl finds by itself, backbone by backbone; each is read whole.

    Args:
        only: this file, where it is one of them, or elsewhere has a name that Keras publishes.
        environ: environment variables; TL_WEIGHTS_DIR and KERAS_HOME are read.

    Raises:
        ConfigError: TL_WEIGHTS_DIR is no folder.
        WeightsError: a file that cannot be read.
    """
    places = list(_places(environ))
    if only is not None:
        places = [one for one in places if one[1].samefile(only)] or _by_name(only)
    for backbone, path, published in places:
        try:
            yield _described(backbone, path, published)
        except OSError as error:
            raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error


def _places(
    environ: Mapping[str, str],
) -> Iterator[tuple[Backbone, Path, PublishedFile | None]]:
    """Give every file that is here, with what Keras publishes under its name."""
    folders = weights_folders(environ)
    own = _own_files(folders, environ)
    for backbone in BACKBONES.values():
        if path := shipped_weights(backbone):
            yield backbone, path, None
        for row, path in own:
            if row.name.partition(":")[0] == backbone.name:
                yield row, path, None
        for published in _published_files(backbone):
            for folder in folders:
                path = folder / published.name
                if path.is_file():
                    yield backbone, path, published


def _by_name(path: Path) -> list[tuple[Backbone, Path, PublishedFile | None]]:
    """Return whose published file a path is by its name, wherever it lies."""
    for backbone in BACKBONES.values():
        for published in _published_files(backbone):
            if published.name == path.name:
                return [(backbone, path, published)]
    return []


def _published_files(backbone: Backbone) -> tuple[PublishedFile, ...]:
    """Return what Keras publishes of a backbone; of tl_small nothing: it takes a MobileNet's."""
    return () if backbone.shipped_weights else tuple(dict.fromkeys(backbone.all_published_files()))


def _own_files(folders: list[Path], environ: Mapping[str, str]) -> list[tuple[Backbone, Path]]:
    """Return what bears a backbone's name, options included, in the folder TL_WEIGHTS_DIR."""
    found = []
    for path in sorted(folders[0].glob("*.npz")):
        try:
            row = find_backbone(path.stem)
        except ConfigError:  # a file of something else
            continue
        if own_weights(row, environ) == path:
            found.append((row, path))
    return found


def _described(backbone: Backbone, path: Path, published: PublishedFile | None) -> WeightsFile:
    size, sha256 = path.stat().st_size, file_digest(path, "sha256")
    if published is not None:
        return WeightsFile(
            path=path, backbone=backbone.name, kind="imagenet", size=size,
            state=published_state(path, published), licence=licence_of(backbone),
            source=published.url, sha256=sha256, digest=published.digest,
        )  # fmt: skip
    shipped = path == shipped_weights(backbone)
    stated = provenance_of(path)
    licence = "as tl (docs/pretrain.md)" if shipped else stated.licence or "yours"
    return WeightsFile(
        path=path, backbone=backbone.name, kind="tl" if shipped else "own", size=size,
        state=_own_state(path, sha256, stated.sha256), licence=licence,
        source="comes with tl" if shipped else "yours", sha256=sha256, digest=None,
    )  # fmt: skip


def _own_state(path: Path, sha256: str, recorded: str | None) -> State:
    if recorded is not None:
        return "as recorded" if recorded == sha256 else "altered"
    try:
        with open_layers(path):
            return "own"
    except WeightsError:
        return "damaged"


def published_state(path: Path, published: PublishedFile) -> State:
    """Compare a file with the digest that Keras knows, or say whether it is whole."""
    differs = difference(path, published) is not None
    if published.digest is None:
        return "damaged" if differs else "no digest is published"
    return "altered" if differs else "as published"


def licence_of(backbone: Backbone) -> str:
    """Return the licence of a backbone's ImageNet weights, as Keras' documentation states it."""
    name = backbone.keras_class or ""
    if name == "Xception":
        return "MIT (Chollet)"
    if name.endswith("V2") and name.startswith("ResNet"):
        return NOT_STATED
    found = (words for start, words in _LICENCES.items() if name.startswith(start))
    return next(found, NOT_STATED)
