"""Datasets by name: digits that are here already, and well-known ones from their own places.

Each is downloaded once into the cache, checked against its published digest, and read by the
function of its format.
"""

import importlib.util
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tl.data.contents import Pixels
from tl.data.example import Dataset, column
from tl.data.formats.arrays import DIGITS, read_cifar, read_idx
from tl.data.formats.folder import read_folder
from tl.download import FETCH_ERRORS, fetch, fetch_fault, file_digest
from tl.errors import DatasetError
from tl.written_aside import written_aside


def read_digits() -> Dataset:
    """Return the 1,797 handwritten digits that scikit-learn carries, 8 x 8 pixels each.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
    """
    # Its file, not its function: importing scikit-learn takes 3 s, and `--dry-run` has less.
    package = importlib.util.find_spec("sklearn")
    assert package is not None  # a dependency
    assert package.origin is not None
    table = np.loadtxt(
        Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=","
    )
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    levels = np.round(images * (255 / 16)).astype(np.uint8)  # the source counts 0 to 16
    return Dataset(
        name="digits",
        class_names=DIGITS,
        keys=column([f"digits/{index:04d}.png" for index in range(len(levels))]),
        labels=labels.astype(np.int32),
        contents=Pixels(levels),
        rows=np.arange(len(levels)),
    )


@dataclass(frozen=True, slots=True)
class Download:
    """A dataset that is fetched from its official place.

    Attributes:
        files: (address, published md5) of each.
        read: of the folder that has them, unpacked where they are archives.
        folder: below an unpacked archive; empty where the files are read as they come.
    """

    files: tuple[tuple[str, str], ...]
    read: Callable[[Path], Dataset]
    folder: str = ""


def _idx_files(root: str, digests: tuple[str, str, str, str]) -> tuple[tuple[str, str], ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        (f"{root}/{name}-ubyte.gz", digest) for name, digest in zip(names, digests, strict=True)
    )


_CIFAR = "https://www.cs.toronto.edu/~kriz"
_TENSORFLOW = "https://storage.googleapis.com/download.tensorflow.org"
# The digests are those that the datasets' own pages and the common loaders publish.
DOWNLOADS: dict[str, Download] = {
    "mnist": Download(
        _idx_files(
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
        read_idx,
    ),
    "fashion_mnist": Download(
        _idx_files(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        read_idx,
    ),
    "cifar10": Download(
        ((f"{_CIFAR}/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
        read_cifar,
        "cifar-10-batches-py",
    ),
    "cifar100": Download(
        ((f"{_CIFAR}/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),),
        read_cifar,
        "cifar-100-python",
    ),
    "flowers": Download(
        (
            (
                f"{_TENSORFLOW}/example_images/flower_photos.tgz",
                "6f87fb78e9cc9ab41eff2015b380011d",
            ),
        ),
        read_folder,
        "flower_photos",
    ),
}  # fmt: skip
BUILT_IN = ("digits", *DOWNLOADS)


def read_built_in(name: str, cache: Path | None) -> Dataset:
    """Return a dataset of `BUILT_IN`, fetching what is not in the cache.

    Args:
        name: one of `BUILT_IN`.
        cache: folder of what can be made again.

    Raises:
        DatasetError: it cannot be fetched, or is not the published file; the message says where
            to put it by hand.
    """
    if name == "digits":
        return read_digits()
    if cache is None:
        raise DatasetError(f"{name} has to be downloaded, and there is no cache folder for it")
    wanted = DOWNLOADS[name]
    place = cache / "datasets" / name
    for url, digest in wanted.files:
        _have(url, digest, place)
    folder = place
    if wanted.folder:
        folder = place / wanted.folder
        if not folder.is_dir():
            _unpack(place / wanted.files[0][0].rpartition("/")[2], folder)
    dataset = wanted.read(folder)
    return replace(dataset, name=name)


def _have(url: str, digest: str, place: Path) -> None:
    """Fetch a file unless it is there; one put there by hand is checked once as well."""
    target = place / url.rpartition("/")[2]
    checked = target.with_name(f".{target.name}.checked")
    if target.is_file() and checked.is_file():
        return
    if not target.is_file():
        _fetch(url, target, digest)
    if (seen := file_digest(target, "md5")) != digest:
        raise DatasetError(
            f"{target} is not the file that {url} publishes (md5 {seen}, published {digest}). "
            "Delete it; if something between here and the server changes files, fetch it elsewhere"
        )
    checked.touch()


def _fetch(url: str, target: Path, digest: str) -> None:
    try:
        with written_aside(target) as aside, aside.open("wb") as out:
            fetch(url, out)
    except FETCH_ERRORS as error:
        raise DatasetError(
            f"cannot download {url}: {fetch_fault(error)}. Fetch it elsewhere and put it at "
            f"{target} (md5 {digest}), or give a folder that has it with --dataset"
        ) from error


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the one folder of an archive; it appears complete."""
    aside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=archive.parent))
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():  # neither links nor devices
                    _unpack_file(tar, member, aside)
        (aside / folder.name).replace(folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DatasetError(f"cannot unpack {archive}: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unpack_file(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file; `extractall` has its safe way only from Python 3.11.4 on."""
    target = Path(os.path.normpath(folder / member.name))
    if not target.is_relative_to(folder):
        raise tarfile.TarError(f"{member.name!r} would land outside of the folder")
    content = tar.extractfile(member)
    assert content is not None  # a regular file
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        shutil.copyfileobj(content, out)
