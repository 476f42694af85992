"""Large JSON is read and written by another process, and what is answered does not show it."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tensorflow.core.example import example_pb2

from serving.errors import InvalidArgument, Overloaded, Unimplemented
from serving.examples import examples_from_json
from serving.json_codec import encode_classes, encode_outputs, encode_values
from serving.json_process import JsonProcess
from serving.json_requests import JsonRequests
from serving.json_size import are_large_outputs

SPACES = b" " * 2**24
ESCAPES = b"\\u00e9" * 50_000


class Here(JsonProcess):
    """Does here what the process is asked for, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.done.append(function.__name__)
        return function(*arguments)


def parsed(examples: list[bytes]) -> list[Any]:
    return [example_pb2.Example.FromString(one) for one in examples]


@pytest.fixture(scope="module")
def requests() -> Iterator[JsonRequests]:
    requests = JsonRequests()
    yield requests
    requests.close()


@pytest.fixture
def process() -> Iterator[JsonProcess]:
    process = JsonProcess()
    yield process
    process.close()


def test_bodies_are_parsed_here_unless_they_are_large(requests: JsonRequests) -> None:
    assert requests.parse_small(b'{"a": NaN} and more') is not None
    assert requests.parse_small(b'{"a": "%s"}' % ESCAPES) == {"a": "é" * 50_000}
    assert requests.parse_small(b'{"a": "%s"} and more' % ESCAPES) is None
    assert requests.parse_small(b'{"a": %s 1}' % SPACES) is None


def test_large_examples_and_answers_are_left_to_the_process() -> None:
    requests = JsonRequests()
    requests._process = here = Here()
    number, numbers = b'{"examples": [{"x": 1.5}]}', b'{"examples": [{"x": [1.5%s]}]}'

    requests.read_examples(number)
    requests.write(encode_values, {"outputs": np.ones(3, np.float32)})
    assert here.done == []

    requests.read_examples(numbers % (b",1.5" * 200_000))
    requests.read_examples(b'{"examples": [{%s}]}' % b",".join([b'"x": 1.5'] * 200_000))
    requests.write(encode_values, {"outputs": np.ones(200_000, np.float32)})
    assert here.done == ["_read_examples", "_read_examples", "encode_values"]


def test_inputs_of_a_large_body_are_read(requests: JsonRequests) -> None:
    body = b'{"signature_name": "s", "inputs": {"x": [[1, 2]], "y": "a"}}'
    types = {"s": {"x": "float", "y": "string"}}

    name, inputs, answer_format = requests.read_large_inputs(body, "default", types)

    assert (name, answer_format) == ("s", "column")
    assert inputs["x"].tolist() == [[1.0, 2.0]]
    assert inputs["y"].item() == b"a"
    assert requests.read_large_inputs(body, "default", {}) == ("s", {}, "row")
    with pytest.raises(InvalidArgument, match="JSON Parse error"):
        requests.read_large_inputs(b"{", "default", types)
    with pytest.raises(Unimplemented):
        requests.read_large_inputs(body, "default", {"s": {"x": "variant", "y": "string"}})


def test_examples_are_the_same_from_small_and_large_bodies(requests: JsonRequests) -> None:
    document = {"signature_name": "s", "context": {"c": 1}, "examples": [{"x": 0.5, "t": ["a"]}]}
    body = json.dumps(document).encode()

    for sent in (body, SPACES + body):
        name, examples = requests.read_examples(sent)
        assert name == "s"
        # The features of serialised examples have no order.
        assert parsed(examples) == parsed(examples_from_json(document))
    with pytest.raises(InvalidArgument, match="'examples' value is an empty array"):
        requests.read_examples(SPACES + b'{"examples": []}')


@pytest.mark.parametrize(
    ("encode", "outputs", "more"),
    [
        (encode_outputs, {"y": np.arange(200_000.0)}, ("row",)),
        (encode_outputs, {"y": np.array([b"\n" * 2_000_000], object)}, ("column",)),
        (encode_classes, {"classes": np.full((90_000, 1), b"a", object),
                          "scores": np.full((90_000, 1), 0.1, np.float32)}, ()),
        (encode_values, {"outputs": np.full(200_000, 0.1, np.float32)}, ()),
    ],
)  # fmt: skip
def test_large_answers_are_those_of_the_functions(
    requests: JsonRequests, encode: Any, outputs: Any, more: tuple[str, ...]
) -> None:
    assert are_large_outputs(outputs)
    assert requests.write(encode, outputs, *more) == encode(outputs, *more)


def test_process_knows_no_tensorflow(process: JsonProcess) -> None:
    process.do(examples_from_json, {"examples": [{"x": 1.0}]})

    loaded = process.do(eval, "sorted(__import__('sys').modules)")

    assert "tensorflow" in sys.modules  # so that its name is right
    assert {"serving.examples", "google.protobuf"} <= set(loaded)
    assert {"tensorflow", "tensorflow_serving", "grpc"}.isdisjoint(loaded)


def test_process_is_made_anew_when_it_ends(process: JsonProcess) -> None:
    assert process.do(encode_outputs, {"y": np.ones(2)}, "row") == b'{"predictions":[1.0,1.0]}'

    assert process._process is not None
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    with pytest.raises(Overloaded, match="has ended: try again"):
        process.do(encode_outputs, {"y": np.ones(2)}, "row")

    assert process.do(encode_outputs, {"y": np.ones(1)}, "column") == b'{"outputs":[1.0]}'


def test_what_cannot_be_sent_leaves_nothing_behind(process: JsonProcess) -> None:
    with pytest.raises(Exception, match="pickle"):
        process.do(len, b"a" * 100_000, lambda: 0)

    assert process.do(len, b"abc") == 3
