"""Fetch a published weights file; it appears complete, and is the published one.

Receives a published file and a folder, gives the path. Keras' download waits for ever on a
network that drops packets.
"""

from pathlib import Path

from tl.download import (
    ANSWER_TIMEOUT_S,
    FETCH_ERRORS,
    READ_TIMEOUT_S,
    fetch,
    fetch_fault,
    file_digest,
)
from tl.errors import WeightsError
from tl.written_aside import written_aside
from tl.zoo.published import PublishedFile

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def digest_as_published(path: Path, file: PublishedFile) -> str | None:
    """Return the digest of a path in the algorithm of ``file.digest``; None where it has none."""
    if file.digest is None:
        return None
    return file_digest(path, "sha256" if len(file.digest) == 64 else "md5")


def download(
    file: PublishedFile,
    folder: Path,
    *,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> Path:
    """Download a file into a folder; it appears there complete or not at all.

    Args:
        file: what to fetch.
        folder: where it belongs; made if absent.
        answer_timeout_s: limit in seconds until the server answers.
        read_timeout_s: limit in seconds of silence while it sends.

    Returns:
        The path of the file in the folder.

    Raises:
        WeightsError: no answer, a refusal, a cut connection, or a file of another digest; such a
            file is kept beside its place with the suffix ``.refused``.
    """
    target = folder / file.name
    try:
        with written_aside(target) as aside:
            with aside.open("wb") as out:
                fetch(file.url, out, answer_timeout_s, read_timeout_s)
            _refuse_altered(file, aside, folder / f"{file.name}.refused")
    except FETCH_ERRORS as error:
        raise WeightsError(f"cannot download {file.url}: {fetch_fault(error)}") from error
    return target


def _refuse_altered(file: PublishedFile, aside: Path, refused: Path) -> None:
    seen = digest_as_published(aside, file)
    if file.digest is None:
        # Files without a digest: at least not the log-in page of a hotel's network.
        with aside.open("rb") as content:
            is_weights = content.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC
        problem = "which is not HDF5"
    else:
        is_weights = seen == file.digest
        problem = f"with digest {seen}, but Keras publishes {file.digest}"
    if not is_weights:
        aside.replace(refused)
        raise WeightsError(
            f"{file.url} gave a file {problem}. It is kept as {refused}; something between here "
            "and the server changed it."
        )
