"""Examples from JSON and from protobuf mean the same."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import input_pb2

from serving.errors import InvalidArgument
from serving.examples import examples_from_input, examples_from_json

FLOATS = st.floats(width=32, allow_nan=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def features(serialised: bytes) -> dict[str, Any]:
    example = example_pb2.Example.FromString(serialised)
    return {
        name: (kind := feature.WhichOneof("kind"), list(getattr(feature, kind).value))
        for name, feature in example.features.feature.items()
    }


def test_json_values_have_the_types_of_tensorflow_serving() -> None:
    encoded = {"b64": base64.b64encode(b"\xff\x00").decode()}

    (one, other) = examples_from_json(
        {"examples": [{"f": 2.5, "i": 2, "t": True, "s": "text", "b": encoded}, {"f": [1.0, 2.0]}]}
    )

    assert features(one) == {
        "f": ("float_list", [2.5]),
        "i": ("int64_list", [2]),
        "t": ("int64_list", [1]),
        "s": ("bytes_list", [b"text"]),
        "b": ("bytes_list", [b"\xff\x00"]),
    }
    assert features(other) == {"f": ("float_list", [1.0, 2.0])}


@given(
    st.lists(
        st.dictionaries(
            st.text(), st.lists(FLOATS) | st.lists(INTEGERS) | st.lists(st.text()) | INTEGERS
        ),
        min_size=1,
    )
)
def test_examples_are_read_by_tensorflow_as_they_were_written(examples: list[Any]) -> None:
    for example, serialised in zip(
        examples, examples_from_json({"examples": examples}), strict=True
    ):
        found = example_pb2.Example.FromString(serialised).features.feature
        assert set(found) == set(example)
        for name, value in example.items():
            kind = found[name].WhichOneof("kind")
            read = list(getattr(found[name], kind).value) if kind else []
            values = value if isinstance(value, list) else [value]
            assert read == [one.encode() if isinstance(one, str) else one for one in values]


def test_context_fills_in_what_an_example_lacks() -> None:
    document = {"context": {"a": 1.0, "b": 2.0}, "examples": [{"b": 3.0}, {}]}
    message = input_pb2.Input()
    both = message.example_list_with_context
    both.context.features.feature["a"].float_list.value.append(1.0)
    both.context.features.feature["b"].float_list.value.append(2.0)
    both.examples.add().features.feature["b"].float_list.value.append(3.0)
    both.examples.add()

    for examples in (examples_from_json(document), examples_from_input(message)):
        assert [features(one) for one in examples] == [
            {"a": ("float_list", [1.0]), "b": ("float_list", [3.0])},
            {"a": ("float_list", [1.0]), "b": ("float_list", [2.0])},
        ]


def test_plain_list_of_protobuf_examples() -> None:
    message = input_pb2.Input()
    message.example_list.examples.add().features.feature["a"].int64_list.value.append(7)

    (one,) = examples_from_input(message)

    assert features(one) == {"a": ("int64_list", [7])}
    assert examples_from_input(input_pb2.Input()) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "JSON Value: {} When method is classify, key 'examples' is expected and was not "
             "found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"context": "x", "examples": [{}]}, "Example must be JSON object but got JSON String"),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
        ({"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type: Array"),
        ({"examples": [{"a": {"x": 1}}]}, "Feature: a has element with unexpected JSON type: Obj"),
        ({"examples": [{"a": [1, 2.5]}]},
         "Unexpected element type in feature: a expecting type: int64"),
        ({"examples": [{"a": [1, True, 2**63]}]},
         "Feature: a has uint64 element. Only int64 is supported."),
        ({"examples": [{"a": [1, 2, -(2**63) - 1]}]},
         "Feature: a has uint64 element. Only int64 is supported."),
        ({"examples": [{"a": ["x", {"b64": "?"}]}]}, "Unable to base64 decode"),
        ({"examples": [{"a": ["x", 1]}]},
         "Unexpected element type in feature: a expecting type: bytes"),
        ({"examples": [{"a": 2**63}]}, "Feature: a has uint64 element. Only int64 is supported."),
        ({"examples": [{"a\udc80": []}]}, "the name of a feature is not UTF-8"),
    ],
)  # fmt: skip
def test_json_that_is_no_example_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        examples_from_json(document)

    assert message in caught.value.message
