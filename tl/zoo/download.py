"""Fetch a published weights file with time-outs of our own.

Receives a published file and a folder, gives the path. Keras' download waits for ever on a
network that drops packets; here an offline machine hears so within seconds.
"""

import hashlib
import http.client
import os
import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tl.errors import WeightsError
from tl.zoo.published import PublishedFile

ANSWER_TIMEOUT_S = 5.0
"""How long name lookup, connection and the first answer may take together."""
READ_TIMEOUT_S = 4.0
"""How long the connection may be silent once data flows."""
_CHUNK_BYTES = 1 << 20
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file; algorithm as hashlib names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


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
    # Hidden and not called .h5: Keras never takes a part of a file for the file.
    aside = folder / f".{file.name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as out:
                _copy(file.url, out, answer_timeout_s, read_timeout_s)
            _refuse_altered(file, aside, folder / f"{file.name}.refused")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"cannot download {file.url}: {_reason(error)}") from error
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


def _copy(url: str, out: Any, answer_timeout_s: float, read_timeout_s: float) -> None:
    with _open_within(url, answer_timeout_s, read_timeout_s) as response:
        expected = response.headers.get("Content-Length")
        received = 0
        while chunk := response.read(_CHUNK_BYTES):
            out.write(chunk)
            received += len(chunk)
    if expected is not None and received != int(expected):
        raise OSError(f"the connection ended after {received} of {expected} bytes")


def _open_within(url: str, answer_timeout_s: float, read_timeout_s: float) -> Any:
    """Open a URL in a thread that may be abandoned.

    A socket's time-out covers neither the name lookup, which can take half a minute on a machine
    whose name server is unreachable, nor an answer that trickles in byte by byte.
    """
    answers: queue.Queue[Any] = queue.Queue()

    def open_url() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=read_timeout_s))
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            answers.put(error)
        except (OSError, http.client.HTTPException) as error:
            answers.put(error)

    threading.Thread(target=open_url, daemon=True).start()
    try:
        answer = answers.get(timeout=answer_timeout_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {answer_timeout_s:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__
