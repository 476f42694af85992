"""The pictures that contenders are measured on, by name, as folders of class folders.

CIFAR-10 and Fashion-MNIST are cut down to 100 pictures a class, always the same ones: the first of
the training part.
"""

import gzip
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

PER_CLASS = 100
FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
           "boot")  # fmt: skip


def open_pictures(name: str, data: Path, scratch: Path) -> Path:
    """Return a folder of class folders.

    Args:
        name: one of `DATASETS`, or a folder of class folders below ``data``.
        data: folder of datasets.
        scratch: where pictures are unpacked to.
    """
    if name in DATASETS:
        folder = scratch / name
        if not folder.is_dir():
            DATASETS[name](data, folder)
        return folder
    if not (data / name).is_dir():
        known = ", ".join([*DATASETS, *(one.name for one in data.iterdir() if one.is_dir())])
        raise SystemExit(f"no dataset {name!r} below {data}; known are {known}")
    return data / name


def _unpack_cifar10(data: Path, folder: Path) -> None:
    with tarfile.open(data / "cifar10_jpeg.tar.gz") as archive:
        for member in archive:
            *_, side, name, file = Path(member.name).parts if member.isfile() else ("", "", "")
            if side == "train" and int(Path(file).stem) < PER_CLASS:
                (folder / name).mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None
                (folder / name / file).write_bytes(source.read())


def _unpack_fashion_mnist(data: Path, folder: Path) -> None:
    parts = data / "fashion_mnist"
    images = np.frombuffer(
        gzip.decompress((parts / "train-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    ).reshape(-1, 28, 28)
    labels = np.frombuffer(
        gzip.decompress((parts / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
    )
    for label, name in enumerate(FASHION):
        (folder / name).mkdir(parents=True)
        for place in np.flatnonzero(labels == label)[:PER_CLASS]:
            Image.fromarray(images[place]).save(folder / name / f"{place:05}.png")


DATASETS: Mapping[str, Callable[[Path, Path], None]] = {
    "cifar10": _unpack_cifar10,
    "fashion_mnist": _unpack_fashion_mnist,
}
