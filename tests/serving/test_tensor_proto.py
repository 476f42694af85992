from typing import Any

import numpy as np
import pytest

from serving.errors import InvalidArgument
from serving.tensor_proto import array_to_proto, arrays_from_protos


@pytest.mark.parametrize(
    ("array", "field"),
    [
        (np.array([[0.5, 2]], np.float32), "float_val"),
        (np.array([0.5], np.float64), "double_val"),
        (np.array([-1, 2], np.int8), "int_val"),
        (np.array([1, 2], np.uint16), "int_val"),
        (np.array([1, 2], np.int32), "int_val"),
        (np.array([2**40], np.int64), "int64_val"),
        (np.array([2**31], np.uint32), "uint32_val"),
        (np.array([2**63], np.uint64), "uint64_val"),
        (np.array([True, False]), "bool_val"),
        (np.array([b"a\0", b""], dtype=object), "string_val"),
        (np.array([1.5, -2], np.float16), "half_val"),
        (np.array([1 + 2j], np.complex64), "scomplex_val"),
        (np.array([1 + 2j], np.complex128), "dcomplex_val"),
        (np.float32(3.0), "float_val"),
    ],
)
def test_tensors_travel_in_the_field_of_their_type(array: Any, field: str) -> None:
    array = np.asarray(array)

    proto = array_to_proto(array)

    assert [descriptor.name for descriptor, _ in proto.ListFields()][-1] == field
    read = arrays_from_protos({"x": proto})["x"]
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, array)


def test_bfloat16_travels_as_its_bits() -> None:
    import tensorflow as tf

    array = np.array([1.5, -2]).astype(tf.bfloat16.as_numpy_dtype)

    proto = array_to_proto(array)

    assert list(proto.half_val) == [0x3FC0, 0xC000]
    np.testing.assert_array_equal(arrays_from_protos({"x": proto})["x"], array)


def test_raw_bytes_on_demand_but_never_for_strings() -> None:
    numbers = array_to_proto(np.array([1, 2], np.int32), as_content=True)
    strings = array_to_proto(np.array([b"a"], dtype=object), as_content=True)

    assert numbers.tensor_content == b"\x01\0\0\0\x02\0\0\0"
    assert list(strings.string_val) == [b"a"]


def test_one_value_fills_the_shape() -> None:
    proto = array_to_proto(np.zeros((2, 2), np.float32))
    proto.float_val[:] = [7.0]

    np.testing.assert_array_equal(arrays_from_protos({"x": proto})["x"], [[7, 7], [7, 7]])


def test_values_that_do_not_fit_the_shape_are_refused_by_name() -> None:
    proto = array_to_proto(np.zeros(3, np.float32))
    proto.tensor_shape.dim[0].size = 2
    unknown = array_to_proto(np.zeros(3, np.float32))
    unknown.tensor_shape.dim[0].size = -1

    for bad in (proto, unknown):
        with pytest.raises(InvalidArgument, match="tensor parsing error: pixels"):
            arrays_from_protos({"pixels": bad})
