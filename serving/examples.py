"""The examples of Classify and Regress requests, from JSON or protobuf to serialised tf.Examples.

Where a request has a context, its features are those of every example that lacks them.
Nothing here knows TensorFlow: also the process that reads large JSON comes by.
"""

from collections.abc import Mapping
from typing import Any

from serving.errors import InvalidArgument
from serving.example_proto import Example
from serving.json_document import show, type_name
from serving.json_tensor import array_from_json, is_base64

_INT64 = range(-(2**63), 2**63)


def examples_from_json(document: Mapping[str, Any]) -> list[bytes]:
    """Read `examples`, each an object of feature -> value or flat list, and `context`.

    JSON numbers with a fraction are floats, whole ones and booleans int64, strings bytes.

    Raises:
        InvalidArgument: none, or one that is no such object.
    """
    context = _example(document["context"]) if "context" in document else None
    if "examples" not in document:
        raise InvalidArgument(
            f"JSON Value: {show(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidArgument(
            f"JSON Value: {show(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise InvalidArgument(f"JSON Value: {show(document)} 'examples' value is an empty array")
    return [_serialised(_example(one), context) for one in examples]


def examples_from_input(message: Any) -> list[bytes]:
    """Read a `tensorflow.serving.Input`; empty where it has none."""
    if message.WhichOneof("kind") == "example_list_with_context":
        both = message.example_list_with_context
        return [_serialised(one, both.context) for one in both.examples]
    return [_serialised(one, None) for one in message.example_list.examples]


def _serialised(example: Any, context: Any | None) -> bytes:
    if context is None:
        return bytes(example.SerializeToString())
    both = type(context)()
    both.CopyFrom(context)
    both.MergeFrom(example)  # features of one name are replaced
    return bytes(both.SerializeToString())


def _example(value: object) -> Any:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {type_name(value)}")
    example = Example()
    for name, content in value.items():
        if not _is_utf8(name):
            raise InvalidArgument(f"the name of a feature is not UTF-8: {show(name)}")
        feature = example.features.feature[name]
        values = content if isinstance(content, list) else [content]
        if not _add_alike(feature, values):
            for one in values:
                _add(feature, name, one)
    return example


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _add_alike(feature: Any, values: list[Any]) -> bool:
    """Add values of one type in a C loop; False, and nothing is added, where something is off."""
    types = set(map(type, values))
    if types == {float}:
        feature.float_list.value.extend(values)
    elif types == {int} and min(values) in _INT64 and max(values) in _INT64:
        feature.int64_list.value.extend(values)
    elif types == {str}:
        feature.bytes_list.value.extend(array_from_json(values, "string"))
    else:
        return False
    return True


def _add(feature: Any, name: str, value: object) -> None:
    if isinstance(value, str) or is_base64(value):
        kind, element = "bytes_list", array_from_json(value, "string").item()
    elif isinstance(value, int):  # booleans too
        if value not in _INT64:
            raise InvalidArgument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        kind, element = "int64_list", int(value)
    elif isinstance(value, float):
        kind, element = "float_list", value
    else:
        raise InvalidArgument(
            f"Feature: {name} has element with unexpected JSON type: {type_name(value)}"
        )
    known = feature.WhichOneof("kind")
    if known not in (None, kind):
        raise InvalidArgument(
            f"Unexpected element type in feature: {name} expecting type: "
            f"{known.removesuffix('_list')}"
        )
    getattr(feature, kind).value.append(element)
