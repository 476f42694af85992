"""Large JSON is read and written in another process, so that other requests go on meanwhile.

Python runs one thread at a time, and to read or write a list of millions of numbers is one step
to it. Receives bytes and arrays, gives arrays and bytes; the process knows no TensorFlow, starts
with the first large document, and ends with the server.

    server ── pickled (function, arguments) ──▶ stdin    stdout ── pickled (result or error) ──▶
"""

import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from serving.errors import Code, ModelError, Overloaded, ServingError
from serving.json_codec import Format, decode_inputs, encode_outputs, signature_name
from serving.json_document import parse_document
from serving.json_tensor import Array
from serving.memory import give_back

_LARGE = 2**17  # elements, which take about 20 ms
_MOST_WAIT_S = 30.0  # for a turn

Types = Mapping[str, str]
Read = tuple[str, dict[str, Array], Format]


def is_large_body(body: bytes) -> bool:
    """Tell whether JSON has so many elements that reading it would hold up other requests."""
    return len(body) > 2 * _LARGE and body.count(b",") > _LARGE


def are_large_outputs(outputs: Mapping[str, Array]) -> bool:
    """Tell the same of writing arrays."""
    return sum(array.size for array in outputs.values()) > _LARGE


class JsonProcess:
    """A process that reads and writes one document at a time; threads wait for their turn."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def read(self, body: bytes, default: str, types_of: Mapping[str, Types]) -> Read:
        """Read the body of a predict request.

        Args:
            body: of the request.
            default: the signature, where the body names none.
            types_of: signature -> name of an input -> its type.

        Returns:
            The signature, an array for each input, and the format in which to answer; no arrays
            where `types_of` has no such signature.

        Raises:
            RequestError: as `parse_document` and `decode_inputs`.
            Overloaded: the process has ended, as for want of memory.
        """
        found: tuple[str, dict[str, Array], Format] = self._do(
            read_request, body, default, types_of
        )
        return found

    def write(self, outputs: Mapping[str, Array], answer_format: Format) -> bytes:
        """Write the answer to a predict request; raises as `encode_outputs`, and as `read`."""
        content: bytes = self._do(encode_outputs, dict(outputs), answer_format)
        return content

    def close(self) -> None:
        """End the process, and what it is doing."""
        self._end()

    def _do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        work = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        if not self._turn.acquire(timeout=_MOST_WAIT_S):
            raise Overloaded("other large JSON is being read and written: try again later")
        try:
            try:
                streams = self._streams()
                streams.stdin.write(work)
                streams.stdin.flush()
                good, result = pickle.load(streams.stdout)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._end()
                raise Overloaded(
                    "the process that reads and writes large JSON has ended: try again, or send "
                    "less at once"
                ) from error
        finally:
            self._turn.release()
        if not good:
            raise result
        return result

    def _streams(self) -> Any:
        if self._process is None:
            words = [sys.executable, "-c", f"from {__name__} import work; work()"]
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def read_request(body: bytes, default: str, types_of: Mapping[str, Types]) -> Read:
    """Do what `JsonProcess.read` promises, in the process that calls."""
    document = parse_document(body)
    name = signature_name(document) or default
    if name not in types_of:
        return name, {}, "row"
    return name, *decode_inputs(document, types_of[name])


def work() -> None:
    """Do what comes in by stdin until it ends, which is when the server does."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = True, function(*arguments)
        except ServingError as error:
            answer = False, error
        except MemoryError:
            answer = False, Overloaded("there is not enough memory for this request")
        except Exception as error:
            logging.getLogger(__name__).exception("unforeseen error in large JSON")
            answer = False, ModelError(Code.INTERNAL, f"internal error: {error!r}")
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
        del function, arguments, answer
        give_back()
