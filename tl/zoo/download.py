"""Fetch a published weights file; it appears complete, and is the published one.

Receives a published file and a folder, gives the path. Keras' download waits for ever on a
network that drops packets.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from tl.download import (
    ANSWER_TIMEOUT_S,
    FETCH_ERRORS,
    READ_TIMEOUT_S,
    check_answer,
    fetch,
    fetch_fault,
    file_digest,
)
from tl.errors import WeightsError
from tl.written_aside import keep_aside, remove_leftovers, written_aside
from tl.zoo.published import PublishedFile

_LEFT_BEHIND_S = 24 * 3600.0
"""A hidden file that nobody has written to for so long belongs to a process that was killed."""


class Unreachable(WeightsError):
    """The server gave no answer, a refusal, or half a file."""


def difference(path: Path, file: PublishedFile) -> str | None:
    """Say in what a file differs from the published one; None where it does not.

    Where Keras publishes no digest, all that can be said is whether the file is whole.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        if file.digest is None:
            return None if is_whole(path) else "that is cut off, or no HDF5 at all"
        seen = file_digest(path, "sha256" if len(file.digest) == 64 else "md5")
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    return None if seen == file.digest else f"with digest {seen}, but Keras publishes {file.digest}"


def is_whole(path: Path) -> bool:
    """Say whether a file is HDF5 and not cut off.

    Raises:
        OSError: it cannot be read.
    """
    import h5py  # 0.2 s that `tl zoo` has not, where nothing was downloaded

    with path.open("rb") as file:
        file.read(1)
    try:
        # On opening, HDF5 compares the end that the file states with its size.
        with h5py.File(path, "r", locking=False):
            return True
    except OSError:
        return False


def check_offered(file: PublishedFile) -> None:
    """Ask whether a file could be downloaded, without doing so.

    Raises:
        WeightsError: no answer, or a refusal.
    """
    try:
        check_answer(file.url)
    except FETCH_ERRORS as error:
        raise Unreachable(f"cannot download {file.url}: {fetch_fault(error)}") from error


def download(
    file: PublishedFile,
    folder: Path,
    *,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
    on_kept: Callable[[Path], None] = lambda kept: None,
) -> Path:
    """Download a file into a folder; it appears there complete or not at all.

    Args:
        file: what to fetch.
        folder: where it belongs; made if absent.
        answer_timeout_s: limit in seconds until the server answers.
        read_timeout_s: limit in seconds of silence while it sends.
        on_kept: told where a file of this name that is another one was moved to.

    Returns:
        The path of the file in the folder.

    Raises:
        Unreachable: no answer, a refusal, a cut connection.
        WeightsError: a folder that cannot be made, or a file of another digest; such a file is kept
            beside its place with the suffix ``.refused``, which replaces no other.
    """
    target = folder / file.name
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"{folder} cannot be made a folder ({error.strerror or error}); name another"
        ) from error
    remove_leftovers(target, older_than_s=_LEFT_BEHIND_S)
    try:
        with written_aside(target) as aside:
            with aside.open("wb") as out:
                fetch(file.url, out, answer_timeout_s, read_timeout_s)
            if problem := difference(aside, file):
                raise WeightsError(
                    f"{file.url} gave a file {problem}. It is kept as {keep_aside(aside, target)}; "
                    "something between here and the server changed it, or cut it off."
                )
            if target.is_file() and difference(target, file):
                on_kept(keep_aside(target, target))
    except FETCH_ERRORS as error:
        if is_new:
            with contextlib.suppress(OSError):  # something lies in it
                folder.rmdir()
        raise Unreachable(f"cannot download {file.url}: {fetch_fault(error)}") from error
    return target
