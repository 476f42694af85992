"""The JSON of requests, read and written where it holds nobody up: here, or in another process.

Receives bodies and outputs, gives inputs, examples and bytes. What is large is decided by
`serving.json_size`, and how it is read does not show in what is answered.
"""

from collections.abc import Callable, Mapping
from typing import Any

from serving.config import MOST_JSON_DEPTH
from serving.examples import examples_from_json
from serving.json_codec import Format, decode_inputs, signature_name
from serving.json_document import parse_document, parse_if_plain, parse_leniently
from serving.json_process import JsonProcess
from serving.json_size import SMALL_BYTES, are_large_outputs, is_large_body
from serving.json_tensor import Array

Types = Mapping[str, str]
Inputs = tuple[str, dict[str, Array], Format]
Examples = tuple[str, list[bytes]]


class JsonRequests:
    """Reads and writes JSON of requests, of any size and up to a depth."""

    def __init__(self, most_depth: int = MOST_JSON_DEPTH) -> None:
        """Take the most levels that lists and objects may be nested."""
        self._most_depth = most_depth
        self._process = JsonProcess()

    def parse_small(self, body: bytes) -> dict[str, Any] | None:
        """Parse a body here; None where it is large.

        Raises:
            InvalidArgument: as `parse_document`.
        """
        if is_large_body(body):
            return None
        document = parse_if_plain(body, self._most_depth)
        if document is None and len(body) <= SMALL_BYTES:
            return parse_leniently(body, self._most_depth)
        return document

    def read_large_inputs(self, body: bytes, default: str, types_of: Mapping[str, Types]) -> Inputs:
        """Read the large body of a predict request.

        Args:
            body: of the request.
            default: the signature, where the body names none.
            types_of: signature -> name of an input -> its type.

        Returns:
            The signature, an array for each input, and the format in which to answer; no arrays
            where `types_of` has no such signature.

        Raises:
            RequestError: as `parse_document` and `decode_inputs`.
            Overloaded: as `JsonProcess.do`.
        """
        found: Inputs = self._process.do(_read_inputs, body, self._most_depth, default, types_of)
        return found

    def read_examples(self, body: bytes) -> Examples:
        """Read the body of a classify or regress request: its signature, serialised tf.Examples.

        Raises:
            RequestError: as `parse_document`, `signature_name` and `examples_from_json`.
            Overloaded: as `JsonProcess.do`.
        """
        document = self.parse_small(body)
        if document is not None:
            return signature_name(document), examples_from_json(document)
        found: Examples = self._process.do(_read_examples, body, self._most_depth)
        return found

    def write(
        self, encode: Callable[..., bytes], outputs: Mapping[str, Array], *arguments: Any
    ) -> bytes:
        """Write an answer by one of the functions of `serving.json_codec`.

        Raises:
            RequestError: as that function.
            Overloaded: as `JsonProcess.do`.
        """
        if not are_large_outputs(outputs):
            return encode(outputs, *arguments)
        content: bytes = self._process.do(encode, dict(outputs), *arguments)
        return content

    def close(self) -> None:
        """End the process, and what it is doing."""
        self._process.close()


def _read_inputs(body: bytes, most_depth: int, default: str, types_of: Mapping[str, Types]) -> Any:
    document = parse_document(body, most_depth)
    name = signature_name(document) or default
    if name not in types_of:
        return name, {}, "row"
    return name, *decode_inputs(document, types_of[name])


def _read_examples(body: bytes, most_depth: int) -> Examples:
    document = parse_document(body, most_depth)
    return signature_name(document), examples_from_json(document)
