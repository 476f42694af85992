"""Bytes of a request to a JSON document, with the leniency and the words of RapidJSON.

TF Serving parses with RapidJSON: bare NaN and Inf are numbers, what follows the first complete
value is ignored, and clients match on its messages. orjson reads the plain cases at full speed;
whatever it refuses is read again by the standard library, which is lenient, and explained.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import orjson

from serving.config import MOST_JSON_DEPTH
from serving.errors import InvalidArgument
from serving.json_depth import STRING, check_depth

_SHOWN_BYTES = 256  # of a value in a message
_MOST_DIGITS = 310  # of the largest double, with its sign
_CALLS = MOST_JSON_DEPTH + 1000  # at a time: levels of a document, and what is around its reading

_WHITESPACE = " \t\n\r"
# Strings are matched first, so that the second group only matches outside of them.
_STRING_OR_INF = re.compile(rf"({STRING})|\b(Inf)\b", re.DOTALL)
_STRING_OR_BRACKET = re.compile(rf"{STRING}|([\[\]{{}}])", re.DOTALL)

# Pairs are matched first, so that the group only matches half of one.
_PAIR_OR_HALF = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\(?:(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

_RAPIDJSON_WORDS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}
_IN_OBJECT = "Missing a comma or } after an object member."
_IN_ARRAY = "Missing a comma or ] after an array element."


def parse_document(body: bytes, most_depth: int = MOST_JSON_DEPTH) -> dict[str, Any]:
    """Read the JSON object at the start of `body`.

    Args:
        body: of a request.
        most_depth: levels that lists and objects may be nested, at most `MOST_JSON_DEPTH`.

    Returns:
        The object; bytes that are no UTF-8 are kept as surrogates in its strings.

    Raises:
        InvalidArgument: there is no complete JSON value, it is not an object, or nested deeper.
    """
    document = parse_if_plain(body, most_depth)
    return parse_leniently(body, most_depth) if document is None else document


def parse_if_plain(body: bytes, most_depth: int) -> dict[str, Any] | None:
    """Read JSON that keeps to the rules as `parse_document` does; None for other."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if most_depth < MOST_JSON_DEPTH:  # orjson itself refuses what is deeper than that
        check_depth(body, most_depth)
    return _object(value)


def parse_leniently(body: bytes, most_depth: int) -> dict[str, Any]:
    """Read what `parse_if_plain` did not, or say why not; takes up to 20 times as long."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    check_depth(body, most_depth)
    text = body.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    start = len(text) - len(text.lstrip(_WHITESPACE))
    if start == len(text):
        raise _parse_error("The document is empty.", text, start)
    text = _spell_out_infinity(text)
    # Python 3.11 counts every level as a call, of which it allows 1,000.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _CALLS))
    try:
        value, end = json.JSONDecoder(parse_int=_whole_number).raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _parse_error(_reason(error), error.doc, error.pos) from error
    for match in _PAIR_OR_HALF.finditer(text, start):
        if match[1] and match.start() < end:
            reason = "The surrogate pair in string is invalid."
            raise _parse_error(reason, text, match.start())
    return _object(value)


def show(value: object) -> str:
    """Write a JSON value for a message, as RapidJSON does, cut at 256 bytes."""
    written = ""
    for piece in _pieces(value, 0):
        # Between pieces, not within: that is where RapidJSON's writer looks.
        if len(written.encode(errors="surrogateescape")) >= _SHOWN_BYTES:
            break
        written += piece if len(piece) <= _SHOWN_BYTES else piece[:_SHOWN_BYTES]
    return written.encode(errors="replace").decode()


def type_name(value: object) -> str:
    """Name the JSON type of a value as TF Serving's messages do."""
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    if isinstance(value, str):
        return "String"
    if isinstance(value, dict):
        return "Object"
    return "Array" if isinstance(value, list) else "Number"


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidArgument(f"JSON Value: {show(value)} Is not object")
    return value


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise InvalidArgument("JSON Parse error: Number too big to be stored in double.")
    return int(digits)


def _spell_out_infinity(text: str) -> str:
    if "Inf" not in text:
        return text
    return _STRING_OR_INF.sub(lambda match: match[1] or "Infinity", text)


def _parse_error(reason: str, text: str, position: int) -> InvalidArgument:
    offset = len(text[:position].encode(errors="surrogateescape"))
    return InvalidArgument(f"JSON Parse error: {reason} at offset: {offset}")


def _reason(error: json.JSONDecodeError) -> str:
    if error.msg == "Expecting ',' delimiter":
        return _IN_OBJECT if _innermost_bracket(error.doc[: error.pos]) == "{" else _IN_ARRAY
    return _RAPIDJSON_WORDS.get(error.msg, f"{error.msg}.")


def _innermost_bracket(text: str) -> str:
    open_brackets: list[str] = []
    for match in _STRING_OR_BRACKET.finditer(text):
        bracket = match[1]
        if bracket in ("[", "{"):
            open_brackets.append(bracket)
        elif bracket and open_brackets:
            open_brackets.pop()
    return open_brackets[-1] if open_brackets else ""


def _pieces(value: object, depth: int) -> Iterator[str]:
    """Write a value piece by piece: objects on lines of 4 spaces, lists on one line."""
    if isinstance(value, dict):
        inner, outer = "\n" + "    " * (depth + 1), "\n" + "    " * depth
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}{inner}{json.dumps(key, ensure_ascii=False)}: "
            yield from _pieces(item, depth + 1)
        yield f"{outer}}}" if value else "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            if index:
                yield ", "
            yield from _pieces(item, depth + 1)
        yield "]"
    else:
        yield json.dumps(value, ensure_ascii=False)
