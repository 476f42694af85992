"""The files of pretrained weights on this machine: whose they are, and whether as published."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tl.zoo.backbones import BACKBONES, Backbone
from tl.zoo.download import difference
from tl.zoo.published import PublishedFile
from tl.zoo.weights import own_weights, shipped_weights, weights_folders

State = Literal[
    "as published", "altered", "damaged", "no digest is published", "own", "not checked"
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
        state: whether it is what was published.
        licence: of published ones, as Keras states it.
    """

    path: Path
    backbone: str
    kind: Literal["imagenet", "tl", "own"]
    size: int
    state: State
    licence: str


def inventory(*, check: bool, environ: Mapping[str, str] = os.environ) -> Iterator[WeightsFile]:
    """Give the files of weights that tl finds by itself, backbone by backbone.

    Args:
        check: compare digests, which reads every file whole.
        environ: environment variables; TL_WEIGHTS_DIR and KERAS_HOME are read.

    Raises:
        ConfigError: TL_WEIGHTS_DIR is no folder.
    """
    folders = weights_folders(environ)
    for backbone in BACKBONES.values():
        if path := shipped_weights(backbone):
            yield _file(path, backbone, "tl", "own", "as tl (docs/pretrain.md)")
        if path := own_weights(backbone, environ):
            yield _file(path, backbone, "own", "own", "yours")
        for published in dict.fromkeys(backbone.all_published_files()):
            for folder in folders:
                path = folder / published.name
                if path.is_file():
                    state = published_state(path, published) if check else "not checked"
                    yield _file(path, backbone, "imagenet", state, licence_of(backbone))


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


def _file(
    path: Path,
    backbone: Backbone,
    kind: Literal["imagenet", "tl", "own"],
    state: State,
    licence: str,
) -> WeightsFile:
    return WeightsFile(
        path=path,
        backbone=backbone.name,
        kind=kind,
        size=path.stat().st_size,
        state=state,
        licence=licence,
    )
