"""One JSON value to one array and back.

Receives nested lists, numbers, strings and base64 objects, gives arrays; no TensorFlow. Types are
TensorFlow's names (`float`, `int64`, `string`), strings are object arrays of bytes.
"""

import base64
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import InvalidArgument, Unimplemented
from serving.json_document import show, type_name

Array = NDArray[Any]

# The type, the range JSON integers may have (None: any number is read as a float), and the type
# the values are read into. The small integers are checked as int32 and then wrap around, as in
# TF Serving.
_INT32 = (-(2**31), 2**31 - 1)
_NUMBERS: dict[str, tuple[Any, tuple[int, int] | None, Any]] = {
    "float": (np.float32, None, np.float64),
    "double": (np.float64, None, np.float64),
    "int8": (np.int8, _INT32, np.int32),
    "int16": (np.int16, _INT32, np.int32),
    "int32": (np.int32, _INT32, np.int32),
    "uint8": (np.uint8, _INT32, np.int32),
    "int64": (np.int64, (-(2**63), 2**63 - 1), np.int64),
    "uint32": (np.uint32, (0, 2**32 - 1), np.uint32),
    "uint64": (np.uint64, (0, 2**64 - 1), np.uint64),
}
# numpy's bound of 64, less the batch axis that rows get.
_MAX_RANK = 63
_BASE64_BLOCK = 2**20  # characters that are decoded in one step
_WRITABLE_KINDS = "biufO"  # half floats are sorted out by name


def array_from_json(value: Any, dtype: str) -> Array:
    """Read a JSON value, nested lists or a single value, as an array.

    Raises:
        InvalidArgument: the lists are ragged, or a value has another type.
        Unimplemented: the type has no JSON.
    """
    array = try_array_from_json(value, dtype)
    return array if array is not None else _decode_exactly(value, dtype)


def array_to_json(name: str, array: Array) -> Any:
    """Give the values of an output in the form that is written.

    Numbers stay an array, which orjson writes faster than lists. Strings become lists of text,
    with surrogates for bytes that are no UTF-8, or base64 objects where the name says `_bytes`.

    Raises:
        InvalidArgument: the type has no JSON.
    """
    if array.dtype.kind not in _WRITABLE_KINDS or array.dtype == np.float16:
        dtype = "half" if array.dtype == np.float16 else array.dtype.name
        raise InvalidArgument(f"Failed to write JSON value for tensor type: {dtype}")
    if array.dtype != object:
        return np.ascontiguousarray(array).reshape(array.shape)
    if name.endswith("_bytes"):
        return _map_nested(lambda value: {"b64": base64.b64encode(value).decode()}, array.tolist())
    return _map_nested(lambda value: value.decode(errors="surrogateescape"), array.tolist())


def is_base64(value: object) -> bool:
    """Tell whether a value is `{"b64": "..."}`, which stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def try_array_from_json(value: Any, dtype: str) -> Array | None:
    """Read a value level by level, in C loops; None where something does not fit."""
    shape: list[int] = []
    level = [value]
    types = {type(value)}
    while types == {list}:
        sizes = set(map(len, level))
        if len(sizes) != 1 or len(shape) == _MAX_RANK:
            return None
        shape.append(sizes.pop())
        level = list(chain.from_iterable(level))
        types = set(map(type, level))
    return _make_array(level, types, dtype, shape)


def _make_array(leaves: list[Any], types: set[type], dtype: str, shape: list[int]) -> Array | None:
    if dtype == "string" and types <= {str, dict}:
        array = np.empty(len(leaves), dtype=object)
        for index, leaf in enumerate(leaves):
            if isinstance(leaf, dict) and not is_base64(leaf):
                return None
            array[index] = _decode_string(leaf)
        return array.reshape(shape)
    if dtype == "bool" and types <= {bool}:
        return np.array(leaves, dtype=np.bool_).reshape(shape)
    if dtype not in _NUMBERS:
        return None
    target, limits, wide = _NUMBERS[dtype]
    if limits is None:
        if not types <= {int, float}:
            return None
        # Through double, as RapidJSON does; a float32 that overflows becomes infinite.
        with np.errstate(over="ignore"):
            return np.array(leaves, dtype=wide).astype(target).reshape(shape)
    if not types <= {int} or (leaves and not limits[0] <= min(leaves) <= max(leaves) <= limits[1]):
        return None
    return np.array(leaves, dtype=wide).astype(target).reshape(shape)


def _decode_string(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    text: str = value["b64"]
    try:
        return _decode_base64(text)
    except ValueError:
        # TF Serving also takes white space and a missing padding.
        bare = "".join(text.split())
        padding = "" if bare.endswith("=") else "=" * (-len(bare) % 4)
        try:
            return _decode_base64(bare + padding)
        except ValueError as error:
            raise InvalidArgument("Unable to base64 decode") from error


def _decode_base64(text: str) -> bytes:
    if len(text) <= _BASE64_BLOCK:
        return base64.b64decode(text, validate=True)
    last = (len(text) - 1) // _BASE64_BLOCK * _BASE64_BLOCK
    if "=" in text[:last]:  # which ends a block
        raise ValueError
    # 10 MB take 45 ms; between the blocks others can go on.
    starts = range(0, len(text), _BASE64_BLOCK)
    blocks = (text[start : start + _BASE64_BLOCK] for start in starts)
    return b"".join([base64.b64decode(block, validate=True) for block in blocks])


def _decode_exactly(value: Any, dtype: str) -> Array:
    """Read a value one leaf after another, and stop at the first fault with TF Serving's words."""
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if len(shape) > _MAX_RANK:
            raise InvalidArgument(f"lists are nested deeper than {_MAX_RANK} levels")
        first = first[0] if first else None
    leaves: list[Any] = []
    _collect(value, 0, shape, dtype, leaves)
    array = _make_array(leaves, set(map(type, leaves)), dtype, shape)
    assert array is not None  # `_collect` has checked every leaf
    return array


def _collect(value: Any, level: int, shape: list[int], dtype: str, leaves: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise InvalidArgument(
                f"JSON Value: {show(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        _check_leaf(value, dtype)
        leaves.append(value)
        return
    if level >= len(shape):
        raise InvalidArgument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise InvalidArgument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, level + 1, shape, dtype, leaves)


def _check_leaf(value: Any, dtype: str) -> None:
    if isinstance(value, dict) and dtype == "string":
        if not is_base64(value):
            raise InvalidArgument(
                f"JSON Value: {show(value)} not formatted correctly for base64 data"
            )
        _decode_string(value)
        return
    if dtype not in _NUMBERS and dtype not in ("string", "bool") and not isinstance(value, dict):
        raise Unimplemented(f"Conversion of JSON Value: {show(value)} to type: {dtype}")
    if not _has_type(value, dtype):
        raise InvalidArgument(
            f"JSON Value: {show(value)} Type: {type_name(value)} is not of expected type: {dtype}"
        )


def _has_type(value: Any, dtype: str) -> bool:
    if dtype in ("string", "bool"):
        return type(value) is {"string": str, "bool": bool}[dtype]
    if dtype not in _NUMBERS:
        return False
    limits = _NUMBERS[dtype][1]
    if limits is None:
        return type(value) in (int, float)
    return type(value) is int and limits[0] <= value <= limits[1]


def _map_nested(convert: Callable[[bytes], Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_map_nested(convert, item) for item in value]
    return convert(value)
