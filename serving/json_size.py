"""Which JSON would hold up other requests while it is read or written.

Python runs one thread at a time, and to read or write a document is one step to it. What takes
longer than about 20 ms is large; how long something takes is told by what can be counted quickly.
"""

from collections.abc import Mapping

import numpy as np

from serving.json_depth import count_openings
from serving.json_tensor import Array

SMALL_BYTES = 2**18  # take about 20 ms at most, whatever they are
_MOST_ELEMENTS = 2**17
# Of strings or spaces, of which orjson reads 10 MB in 10 ms. A picture of 10 MB in base64 takes
# 34 ms here and 61 in the other process, four of them 180 and 220.
_MOST_BYTES = 2**24
_MOST_BYTES_OF_STRINGS = 2**20  # in answers; up to 30 ms where bytes have to be escaped


def is_large_body(body: bytes) -> bool:
    """Tell whether it would hold up other requests to read a body, if that is plain JSON."""
    if len(body) <= SMALL_BYTES:
        return False
    if len(body) > _MOST_BYTES:
        return True
    # A list in a list is an element without a comma. To count takes 3 ms for 16 MB.
    commas = int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord(",")))
    return commas + count_openings(body) > _MOST_ELEMENTS


def are_large_outputs(outputs: Mapping[str, Array]) -> bool:
    """Tell the same of writing arrays."""
    if sum(array.size for array in outputs.values()) > _MOST_ELEMENTS:
        return True
    strings = [array for array in outputs.values() if array.dtype == object]
    return sum(sum(map(len, array.flat)) for array in strings) > _MOST_BYTES_OF_STRINGS
