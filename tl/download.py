"""Fetch a file over HTTP with time-outs of our own.

Receives an address, writes the bytes. Python's own time-out covers neither the name lookup nor an
answer that trickles in; here an offline machine hears so within seconds.
"""

import hashlib
import http.client
import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ANSWER_TIMEOUT_S = 5.0
"""How long name lookup, connection and the first answer may take together."""
READ_TIMEOUT_S = 4.0
"""How long the connection may be silent once data flows."""
FETCH_ERRORS = (OSError, http.client.HTTPException)
"""What `fetch` raises."""
_CHUNK_BYTES = 1 << 20


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file; algorithm as hashlib names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fetch(
    url: str,
    out: Any,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> None:
    """Write what an address gives into an open binary file.

    Args:
        url: of the file.
        out: receives the bytes.
        answer_timeout_s: limit in seconds until the server answers.
        read_timeout_s: limit in seconds of silence while it sends.

    Raises:
        OSError, http.client.HTTPException: no answer, a refusal, a cut connection, a length that
            is no number.
    """
    with _open_within(url, answer_timeout_s, read_timeout_s) as response:
        expected = response.headers.get("Content-Length")
        if expected is not None and not (expected.isascii() and expected.strip().isdigit()):
            raise OSError(f"the server announces a length of {expected!r}, which is no number")
        received = 0
        while chunk := response.read(_CHUNK_BYTES):
            out.write(chunk)
            received += len(chunk)
    if expected is not None and received != int(expected):
        raise OSError(f"the connection ended after {received} of {expected} bytes")


def check_answer(url: str, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Raise what `fetch` would before the first byte; nothing is read."""
    _open_within(url, answer_timeout_s, READ_TIMEOUT_S).close()


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


def fetch_fault(error: Exception) -> str:
    """Say in words what `fetch` raised."""
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__
