import base64
import json
import math
import random
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.errors import Code, InvalidArgument, RequestError
from serving.json_codec import Format, decode_inputs, encode_outputs, signature_name
from serving.json_document import parse_document, show
from serving.json_tensor import array_from_json

DTYPES = {
    "float": np.float32,
    "double": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "uint8": np.uint8,
    "int64": np.int64,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
}
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def as_bytes(values: list[bytes]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@given(st.data(), st.sampled_from(sorted(DTYPES)), st.sampled_from(["row", "column"]))
def test_numbers_survive_the_way_there_and_back(
    data: st.DataObject, name: str, answer_format: Format
) -> None:
    array = data.draw(hnp.arrays(DTYPES[name], SHAPES))

    body = encode_outputs({"x": array}, answer_format)
    document = parse_document(body)
    read = array_from_json(next(iter(document.values())), name)

    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@given(st.lists(st.binary(), min_size=1))
def test_bytes_survive_as_base64_where_the_name_says_so(values: list[bytes]) -> None:
    body = encode_outputs({"raw_bytes": as_bytes(values)}, "column")

    assert array_from_json(json.loads(body)["outputs"], "string").tolist() == values


@given(st.lists(st.binary(), min_size=1))
def test_strings_are_written_byte_for_byte_even_where_they_are_no_utf8(values: list[bytes]) -> None:
    body = encode_outputs({"text": as_bytes(values)}, "column")

    assert array_from_json(parse_document(body)["outputs"], "string").tolist() == values


@given(hnp.arrays(np.float32, SHAPES))
def test_rows_and_columns_read_the_same_tensor(array: Any) -> None:
    text = json.dumps(array.tolist())
    types = {"x": "float"}

    row, _ = decode_inputs(parse_document(b'{"instances": %s}' % text.encode()), types)
    named = [{"x": value} for value in array.tolist()]
    named_row, _ = decode_inputs(parse_document(json.dumps({"instances": named}).encode()), types)
    column, _ = decode_inputs(parse_document(b'{"inputs": %s}' % text.encode()), types)

    for inputs in (row, named_row, column):
        np.testing.assert_array_equal(inputs["x"], array)


@given(st.floats(width=32, allow_nan=False))
def test_float32_is_written_with_no_more_digits_than_it_has(value: float) -> None:
    text = encode_outputs({"y": np.array([value], np.float32)}, "column")

    written = text.decode().split("[")[1].split("]")[0]
    assert struct.pack("f", float(written)) == struct.pack("f", value)
    if math.isfinite(value):
        assert float(written) == float(str(np.float32(value)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.2"),
        (3.0, "3.0"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_numbers_are_written_as_tensorflow_serving_writes_them(value: float, text: str) -> None:
    array = np.array([value, 0.2], np.float32)

    body = encode_outputs({"y": array}, "column").decode().replace(" ", "")

    assert body == f'{{"outputs":[{text},0.2]}}'


def test_several_outputs_become_one_object_a_row() -> None:
    outputs = {"a": np.array([1, 2]), "b": as_bytes([b"x", b"y"])}

    assert json.loads(encode_outputs(outputs, "row")) == {
        "predictions": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    }
    assert json.loads(encode_outputs(outputs, "column")) == {
        "outputs": {"a": [1, 2], "b": ["x", "y"]}
    }


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"y": np.float32(1)}, "Tensor name: y has no shape information "),
        (
            {"a": np.zeros(2), "b": np.zeros(3)},
            "Tensor name: b has inconsistent batch size: 3 expecting: 2",
        ),
        ({"y": np.zeros(1, np.float16)}, "Failed to write JSON value for tensor type: half"),
        ({}, "Cannot convert empty tensor map to JSON"),
    ],
)
def test_outputs_that_have_no_rows_are_refused(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_outputs({name: np.asarray(value) for name, value in outputs.items()}, "row")

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The document is empty"),
        (b" \n", "The document is empty. at offset: 2"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1 "b": 2}', "Missing a comma or } after an object member. at offset: 8"),
        (b'{"a": [1 2]}', "Missing a comma or ] after an array element. at offset: 9"),
        (b'{"\xc3\xa4": [1 2]}', "Missing a comma or ] after an array element. at offset: 10"),
        (b'{"a": what}', "Invalid value. at offset: 6"),
        (b"{1: 2}", "Missing a name for object member. at offset: 1"),
        (rb'{"a": "\\\ud800"}', "The surrogate pair in string is invalid. at offset: 9"),
        (rb'{"\udc80": NaN}', "The surrogate pair in string is invalid. at offset: 2"),
        (rb'{"a": "\ud83d\u0041"}', "The surrogate pair in string is invalid. at offset: 7"),
    ],
)
def test_malformed_json_is_explained_in_rapidjson_words(body: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_document(body)

    assert caught.value.message == f"JSON Parse error: {message}"


def test_what_follows_the_first_value_is_ignored() -> None:
    assert parse_document(b'{"inputs": 1} and more') == {"inputs": 1}


def test_bare_words_for_what_json_has_no_number_for() -> None:
    document = parse_document(b'{"inputs": [NaN, Inf, -Inf, Infinity, -Infinity], "x": "Inf"}')

    assert document["x"] == "Inf"
    assert math.isnan(document["inputs"][0])
    assert document["inputs"][1:] == [math.inf, -math.inf, math.inf, -math.inf]


def test_lists_nested_too_deeply_are_refused_and_not_a_crash() -> None:
    deep = b"[" * 100_000

    with pytest.raises(InvalidArgument, match="nested 100,001 levels deep"):
        parse_document(b'{"inputs": ' + deep)
    with pytest.raises(InvalidArgument, match="nested deeper than 63"):
        array_from_json(json.loads("[" * 64 + "1" + "]" * 64), "float")


def test_long_base64_is_read_like_short() -> None:
    data = random.Random(0).randbytes(2_000_000)
    text = base64.b64encode(data).decode()

    for written in (text, text.rstrip("="), "\n".join([text[:999], text[999:]])):
        assert array_from_json({"b64": written}, "string").item() == data
    for wrong in (text[:-2] + "?" + text[-1:], text[: 2**20 - 2] + "==" + text[2**20 :]):
        with pytest.raises(InvalidArgument, match="Unable to base64 decode"):
            array_from_json({"b64": wrong}, "string")


ONE = {"x": "float"}
TWO = {"a": "float", "b": "int32"}


@pytest.mark.parametrize(
    ("body", "types", "message"),
    [
        ({}, ONE, "Missing 'inputs' or 'instances' key"),
        ({"instances": 1}, ONE, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, ONE, "No values in 'instances' array"),
        ({"instances": [1], "inputs": [1]}, ONE, "Not formatted correctly expecting only one of"),
        ({"inputs": "a"}, ONE, 'JSON Value: "a" Type: String is not of expected type: float'),
        ({"inputs": [1, True]}, ONE, "JSON Value: true Type: True is not of expected type: float"),
        ({"inputs": [1.0]}, {"x": "int32"}, "Type: Number is not of expected type: int32"),
        ({"inputs": [2**31]}, {"x": "int8"}, "Type: Number is not of expected type: int8"),
        (
            {"inputs": [1]},
            {"x": "bool"},
            "1 Type: Number is not of expected type: bool",
        ),
        ({"inputs": [None]}, {"x": "string"}, "Type: Null is not of expected type: string"),
        ({"inputs": [{"b64": "*"}]}, {"x": "string"}, "Unable to base64 decode"),
        ({"inputs": [{"b": "aa"}]}, {"x": "string"}, "not formatted correctly for base64 data"),
        (
            {"inputs": [[1, 2], [3]]},
            ONE,
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ({"inputs": [1, [2]]}, ONE, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": [[1], 2]}, ONE, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM."),
        (
            {"instances": [[1, 2], [3]]},
            ONE,
            "Failed to process element: 1 of 'instances' list. "
            "Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 1",
        ),
        ({"instances": [[[1], [2]], [[1, 2]]]}, ONE, "Expecting shape [2,1] but got: [1,2]"),
        (
            {"instances": [{"a": 1, "z": 1}]},
            TWO,
            "Failed to process element: 0 key: z of 'instances' list. "
            "Error: INVALID_ARGUMENT: JSON object: does not have named input: z",
        ),
        ({"instances": [{"a": 1}]}, TWO, "keys must be equal to: a,b"),
        ({"instances": [{"a": 1, "b": 1}, 2]}, TWO, "Expecting object but got list at item 1"),
        ({"instances": [1, {"x": 2}]}, ONE, "Expecting value/list but got object at item 1"),
        ({"instances": [1]}, TWO, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [1]}, TWO, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": {"b": 1}}, TWO, "Missing named input: a in 'inputs' object."),
    ],
)
def test_wrong_body_is_refused_in_tensorflow_serving_words(
    body: dict[str, Any], types: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_inputs(parse_document(json.dumps(body).encode()), types)

    assert message in caught.value.message


def test_type_without_json_is_unimplemented() -> None:
    with pytest.raises(RequestError) as caught:
        decode_inputs({"inputs": [1.0]}, {"x": "half"})

    assert caught.value.code is Code.UNIMPLEMENTED
    assert caught.value.message == "Conversion of JSON Value: 1.0 to type: half"


def test_base64_may_lack_its_padding_and_have_white_space() -> None:
    assert array_from_json([{"b64": "aGk"}, {"b64": "aG\nk="}], "string").tolist() == [b"hi", b"hi"]


def test_small_integers_wrap_around() -> None:
    assert array_from_json([300, -1], "uint8").tolist() == [44, 255]


def test_signature_name_must_be_a_string() -> None:
    assert signature_name({}) == ""
    with pytest.raises(InvalidArgument, match="'signature_name' key must be a string value"):
        signature_name({"signature_name": 1})


def test_values_in_messages_are_cut() -> None:
    assert show({"a": [1, "b"], "c": {}}) == '{\n    "a": [1, "b"],\n    "c": {}\n}'
    assert 256 <= len(show(list(range(1000)))) < 270
    assert len(show("x" * 10_000)) == 256


def test_pairs_of_surrogates_and_what_follows_the_document_are_read() -> None:
    document = parse_document(rb'{"a": "\ud83d\ude00 \\ud800", "b": NaN} "\ud800"')

    assert document["a"] == "\U0001f600 \\ud800"
