"""Bodies of predict requests and answers, as TF Serving's REST interface has them.

Receives parsed documents and the types of a signature's inputs, gives arrays; receives arrays,
gives bytes. Two formats: `row`, a list of examples in which the batch axis is implied, and
`column`, whole tensors.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import orjson

from serving.errors import InvalidArgument, RequestError
from serving.json_document import show
from serving.json_tensor import (
    Array,
    array_from_json,
    array_to_json,
    is_base64,
    try_array_from_json,
)

Format = Literal["row", "column"]


def signature_name(document: Mapping[str, Any]) -> str:
    """Read `signature_name`; empty where the request has none.

    Raises:
        InvalidArgument: it is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {show(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def decode_inputs(
    document: Mapping[str, Any], types: Mapping[str, str]
) -> tuple[dict[str, Array], Format]:
    """Read the inputs of a predict request.

    Args:
        document: the body, with `instances` (a list of examples) or `inputs` (whole tensors).
        types: input name -> TensorFlow's name of its type, for every input of the signature.

    Returns:
        An array for each input, and the format in which to answer.

    Raises:
        InvalidArgument: the document does not fit the types.
        Unimplemented: an input has a type that has no JSON.
    """
    if "instances" in document and "inputs" in document:
        raise InvalidArgument(
            f"JSON Value: {show(document)} Not formatted correctly expecting only"
            " one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise InvalidArgument(
                f"JSON Value: {show(document)} Expecting 'instances' to be an list/array"
            )
        if not instances:
            raise InvalidArgument(f"JSON Value: {show(document)} No values in 'instances' array")
        return _decode_rows(instances, types), "row"
    if "inputs" in document:
        return _decode_columns(document["inputs"], types), "column"
    raise InvalidArgument("Missing 'inputs' or 'instances' key")


def encode_outputs(outputs: Mapping[str, Array], answer_format: Format) -> bytes:
    """Write the answer to a predict request.

    Args:
        outputs: output name -> array; of at least one dimension, and with equal first
            dimensions, where the format is `row`.
        answer_format: that of the request.

    Raises:
        InvalidArgument: an output does not fit the format or has a type that has no JSON.
    """
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    columns = {name: array_to_json(name, array) for name, array in outputs.items()}
    only = next(iter(columns.values())) if len(columns) == 1 else None
    if answer_format == "column":
        return _write({"outputs": columns if only is None else only}, outputs)
    batch_size = _check_batch_size(outputs)
    if only is None:
        only = [
            {name: column[row] for name, column in columns.items()} for row in range(batch_size)
        ]
    return _write({"predictions": only}, outputs)


def encode_classes(outputs: Mapping[str, Array]) -> bytes:
    """Write the answer to a classify request: for each example, pairs of label and score.

    Args:
        outputs: `classes`, object arrays of bytes, and `scores`, both (examples, classes).
    """
    labels = array_to_json("classes", outputs["classes"])
    rows = [
        [list(pair) for pair in zip(*row, strict=True)]
        for row in zip(labels, outputs["scores"], strict=True)
    ]
    return _write({"results": rows}, outputs)


def encode_values(outputs: Mapping[str, Array]) -> bytes:
    """Write the answer to a regress request: a number for each example."""
    return _write({"results": outputs["outputs"]}, outputs)


def _write(answer: dict[str, Any], outputs: Mapping[str, Array]) -> bytes:
    # orjson writes null for NaN and infinities; TF Serving writes them as bare words, and so does
    # the standard library.
    if all(array.dtype.kind != "f" or np.isfinite(array).all() for array in outputs.values()):
        try:
            return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError:
            # Strings that are no UTF-8: written below as they are, as TF Serving does.
            pass
    text = json.dumps(answer, ensure_ascii=False, default=_to_plain)
    return text.encode(errors="surrogateescape")


def _to_plain(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype == np.float32:
        # Through text, to the double that is written with the digits of the float32: 0.2, and
        # not 0.20000000298023224.
        finite = np.isfinite(array)
        text = orjson.dumps(array[finite], option=orjson.OPT_SERIALIZE_NUMPY)
        with np.errstate(invalid="ignore"):  # a NaN that signals
            array = array.astype(np.float64)
        array[finite] = orjson.loads(text)
    return array.tolist()


def _check_batch_size(outputs: Mapping[str, Array]) -> int:
    batch_size = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if batch_size >= 0 and array.shape[0] != batch_size:
            raise InvalidArgument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {batch_size}"
            )
        batch_size = array.shape[0]
    return batch_size


def _decode_rows(instances: list[Any], types: Mapping[str, str]) -> dict[str, Array]:
    if not isinstance(instances[0], dict) and len(types) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if _is_named(instances[0]):
        return _decode_named_rows(instances, types)
    name, dtype = next(iter(types.items()))
    array = try_array_from_json(instances, dtype)
    if array is not None:
        return {name: array}
    rows: list[Array] = []
    for index, instance in enumerate(instances):
        if _is_named(instance):
            raise InvalidArgument(
                f"Expecting value/list but got object at item {index} of input list"
            )
        try:
            _append_alike(rows, array_from_json(instance, dtype))
        except RequestError as error:
            raise InvalidArgument(
                f"Failed to process element: {index} of 'instances' list. "
                f"Error: {error.code.name}: {error.message}"
            ) from error
    return {name: np.stack(rows)}


def _decode_named_rows(instances: list[Any], types: Mapping[str, str]) -> dict[str, Array]:
    rows: dict[str, list[Array]] = {name: [] for name in types}
    for index, instance in enumerate(instances):
        if not _is_named(instance):
            raise InvalidArgument(f"Expecting object but got list at item {index} of input list")
        for name, value in instance.items():
            try:
                if name not in types:
                    raise InvalidArgument(f"JSON object: does not have named input: {name}")
                _append_alike(rows[name], array_from_json(value, types[name]))
            except RequestError as error:
                raise InvalidArgument(
                    f"Failed to process element: {index} key: {name} of 'instances' list. "
                    f"Error: {error.code.name}: {error.message}"
                ) from error
        if set(instance) != set(types):
            raise InvalidArgument(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{show(instance)} keys must be equal to: {','.join(sorted(types))}"
            )
    return {name: np.stack(arrays) for name, arrays in rows.items()}


def _append_alike(rows: list[Array], row: Array) -> None:
    if rows and rows[0].size != row.size:
        raise InvalidArgument(f"Expecting tensor size: {rows[0].size} but got: {row.size}")
    if rows and rows[0].shape != row.shape:
        raise InvalidArgument(f"Expecting shape {_show_shape(rows[0])} but got: {_show_shape(row)}")
    rows.append(row)


def _show_shape(array: Array) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"


def _decode_columns(inputs: Any, types: Mapping[str, str]) -> dict[str, Array]:
    if not _is_named(inputs):
        if len(types) > 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {name: array_from_json(inputs, dtype) for name, dtype in types.items()}
    arrays = {}
    for name, dtype in types.items():
        if name not in inputs:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = array_from_json(inputs[name], dtype)
    return arrays


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)
