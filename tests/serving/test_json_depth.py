"""The depth of JSON is bounded by a flag, wherever and however it is read."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.config import MOST_JSON_DEPTH
from serving.errors import InvalidArgument
from serving.json_depth import check_depth, depth_of
from serving.json_document import parse_document

TEXTS = st.text(st.sampled_from('[]{}"\\,aé'))
DOCUMENTS: Any = st.recursive(
    TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


def levels(value: Any) -> int:
    depth, inner = 0, [value]
    while inner := [one for one in inner if isinstance(one, dict | list)]:
        depth += 1
        inner = [item for one in inner for item in (one.values() if type(one) is dict else one)]
    return depth


def nested(depth: int, innermost: str = "1") -> bytes:
    """A document of so many levels."""
    lists = depth - 1
    return b'{"a": %s%s%s}' % (b"[" * lists, innermost.encode(), b"]" * lists)


@given(DOCUMENTS, st.sampled_from(["", " [[[[[[[[", '"[[[[[[[[']))
def test_depth_is_that_of_the_first_value(document: Any, rest: str) -> None:
    text = json.dumps({"a": document}, ensure_ascii=False) + rest

    assert depth_of(text.encode()) == levels({"a": document})


@pytest.mark.parametrize(
    ("body", "depth"),
    [(b"", 0), (b"1", 0), (b"]]]", 0), (b"[[[", 3), (b'["[[[', 1), (rb'["\"[[[', 1), (b"[]]]", 1)],
)
def test_depth_of_what_is_no_json(body: bytes, depth: int) -> None:
    assert depth_of(body) == depth


@pytest.mark.parametrize("most", [1, 2, 64, MOST_JSON_DEPTH])
@pytest.mark.parametrize("innermost", ["1", "NaN", '"[[[["'])  # NaN is read by another reader
def test_document_may_be_as_deep_as_the_bound_and_no_deeper(most: int, innermost: str) -> None:
    assert levels(parse_document(nested(most, innermost), most)) == most

    with pytest.raises(InvalidArgument) as caught:
        parse_document(nested(most + 1, innermost), most)
    assert caught.value.message == (
        f"JSON Parse error: lists and objects are nested {most + 1:,} levels deep: this server "
        f"takes {most:,} (--rest_api_max_json_depth)"
    )


def test_many_lists_side_by_side_are_not_deep() -> None:
    check_depth(b'{"a": [%s 1]}' % (b"[[]]," * 1000), 4)

    with pytest.raises(InvalidArgument, match="nested 4 levels deep"):
        check_depth(b'{"a": [%s 1]}' % (b"[[]]," * 1000), 3)


@pytest.mark.parametrize("piece", [b"[", b"[],", b'"[",', b'\\"', b'"[\\"', b"{}["])
def test_time_to_count_grows_with_the_size_and_no_faster(piece: bytes) -> None:
    body = b'{"a": [' + piece * (5_000_000 // len(piece))
    began_s = time.monotonic()

    depth_of(body)

    assert time.monotonic() - began_s < 5  # 0.3 s


@pytest.fixture(scope="module")
def shallow(
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    folder = tmp_path_factory.mktemp("shallow")
    put_version("numbers", folder / "numbers" / "1")
    server = start_server(
        str(folder), "--port=0", "--rest_api_port=0", "--rest_api_max_json_depth=3"
    )
    server.wait_for_addresses()
    return server


@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
@pytest.mark.parametrize("size", [0, 2**24], ids=["in the server", "in the process of JSON"])
def test_every_request_is_bound_by_the_flag(shallow: Any, verb: str, size: int) -> None:
    path, spaces = f"/v1/models/numbers:{verb}", b" " * size

    status, answer = shallow.call(path, b'{"instances": [1], "x": [[[1]]]}' + spaces)
    assert (status, "nested 4 levels deep" in answer["error"]) == (400, True)
    assert "takes 3 (--rest_api_max_json_depth)" in answer["error"]

    _, answer = shallow.call(path, b'{"instances": [1], "x": [[1]], "y": "[[[["}' + spaces)
    assert "nested" not in str(answer)
