"""TensorProto to array and back, the way TF Serving fills it.

Its answers carry typed fields (`float_val`, `string_val`, ...), and clients read exactly those;
`tf.make_tensor_proto` writes `tensor_content` for more than one element, so it is of no use.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.errors import InvalidArgument, Unimplemented
from serving.servable import Array

_MOST_FILLED_BYTES = 2**26
_PART = 2**14  # elements that are converted in one step, which takes a millisecond
_BYTES_A_STRING = 32  # in numpy and in TensorFlow, if it is short


def arrays_from_protos(protos: Mapping[str, Any]) -> dict[str, Array]:
    """Read the tensors of a request: `tensor_content`, typed fields, or one value that fills it.

    Strings come as object arrays of bytes.

    Raises:
        InvalidArgument: a shape and its values do not fit each other.
    """
    return {name: _read(name, proto) for name, proto in protos.items()}


def array_to_proto(array: Array, *, as_content: bool = False) -> Any:
    """Write an array to the typed field of its type, or all of it as raw bytes.

    Args:
        array: strings as an object array of bytes.
        as_content: write `tensor_content`; strings have no raw form and stay typed.

    Raises:
        Unimplemented: the type cannot be sent.
    """
    number, name = _type_of(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=number)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if as_content and array.dtype != object:
        proto.tensor_content = array.tobytes()
        return proto
    if name in _PACKED:
        field, kind = _PACKED[name]
        _add_packed(proto, field, array.astype(kind, copy=False).tobytes())
        return proto
    if name not in _FIELDS:
        raise Unimplemented(f"tensors of type {name} cannot be sent")
    field, to_values = _FIELDS[name]
    values, flat = getattr(proto, field), array.ravel()
    # In parts: Python looks for other threads in between.
    for start in range(0, flat.size, _PART):
        values.extend(to_values(flat[start : start + _PART]))
    return proto


@functools.cache
def _type_of(dtype: Any) -> tuple[Any, str]:
    """Return the number and the name of a numpy type in TensorFlow."""
    found = tf.as_dtype(dtype)
    return found.as_datatype_enum, found.name


def _read(name: str, proto: Any) -> Array:
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise InvalidArgument(f"tensor parsing error: {name}: shape {shape} is not fully known")
    # One value may stand for all, so that a few bytes may ask for all memory that there is.
    size = _BYTES_A_STRING if proto.dtype == types_pb2.DT_STRING else 8
    if size * math.prod(shape) > max(_MOST_FILLED_BYTES, size * proto.ByteSize()):
        raise InvalidArgument(
            f"tensor parsing error: {name}: shape {shape} of {proto.ByteSize():,} bytes: one value "
            f"is repeated up to {_MOST_FILLED_BYTES // size:,} times"
        )
    if proto.dtype == types_pb2.DT_STRING and len(proto.string_val) == math.prod(shape):
        # Encoded pictures, mostly; without the detours for all types.
        strings = np.empty(len(proto.string_val), object)
        strings[:] = proto.string_val
        return strings.reshape(shape)
    try:
        count = math.prod(shape)
        if count > _PART and (values := _large_values(proto, count)) is not None:
            return values.reshape(shape)
        return np.asarray(tf.make_ndarray(proto))
    except KeyError as error:
        raise InvalidArgument(
            f"tensor parsing error: {name}: there is no type of number {proto.dtype}"
        ) from error
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise InvalidArgument(f"tensor parsing error: {name}: {error}") from error


def _large_values(proto: Any, count: int) -> Array | None:
    """Read typed values in steps that leave other threads their turn; None where they fill."""
    if proto.tensor_content:
        return None  # which is one copy
    try:
        dtype = tf.as_dtype(proto.dtype)
        name, target = dtype.name, dtype.as_numpy_dtype
    except TypeError:
        return None
    if name in _PACKED:
        field, kind = _PACKED[name]
        if len(getattr(proto, field)) != count:
            return None
        alone = tensor_pb2.TensorProto()
        alone.CopyFrom(proto)
        alone.DiscardUnknownFields()
        for other, _ in alone.ListFields():
            if other.name != field:
                alone.ClearField(other.name)
        size = count * np.dtype(kind).itemsize
        return np.frombuffer(alone.SerializeToString()[-size:], kind)
    if name not in _FIELDS or _FIELDS[name][1] is not _values:
        return None
    values = getattr(proto, _FIELDS[name][0])
    if len(values) != count:
        return None
    array = np.empty(count, target)
    for start in range(0, count, _PART):
        array[start : start + _PART] = values[start : start + _PART]
    return array


def _add_packed(proto: Any, field: str, payload: bytes) -> None:
    """Add numbers of fixed size as they are in memory, which is how they are on the wire."""
    number = proto.DESCRIPTOR.fields_by_name[field].number
    proto.MergeFromString(bytes([number << 3 | 2]) + _varint(len(payload)) + payload)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


def _values(array: Array) -> Any:
    return array.tolist()


def _bits(array: Array) -> Any:
    return array.view(np.uint16).tolist()


def _pairs(array: Array) -> Any:
    return np.stack([array.real, array.imag], axis=-1).ravel().tolist()


# Types whose numbers are on the wire as they are in memory, of either byte order.
_PACKED = {"float32": ("float_val", "<f4"), "float64": ("double_val", "<f8")}

_FIELDS: dict[str, tuple[str, Callable[[Array], Any]]] = {
    "int32": ("int_val", _values),
    "int16": ("int_val", _values),
    "int8": ("int_val", _values),
    "uint16": ("int_val", _values),
    "uint8": ("int_val", _values),
    "int64": ("int64_val", _values),
    "uint32": ("uint32_val", _values),
    "uint64": ("uint64_val", _values),
    "bool": ("bool_val", _values),
    "string": ("string_val", _values),
    "float16": ("half_val", _bits),
    "bfloat16": ("half_val", _bits),
    "complex64": ("scomplex_val", _pairs),
    "complex128": ("dcomplex_val", _pairs),
}
