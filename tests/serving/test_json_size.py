"""What is large is told by what takes long, and quickly."""

import time

import numpy as np
import pytest

from serving.json_size import are_large_outputs, is_large_body

MB = 10**6
PICTURE = b'{"b64": "' + b"A" * 10 * MB + b'"}'


@pytest.mark.parametrize(
    ("body", "is_large"),
    [
        (b'{"instances": [1]}', False),
        (b'{"instances": [%s]}' % (b"1," * 100_000), False),
        (b'{"instances": [%s]}' % (b"1," * 200_000), True),
        (b'{"x": [%s]}' % b",".join([b"[" * 1000 + b"]" * 1000] * 100), False),
        (b'{"x": [%s]}' % b",".join([b"[" * 1000 + b"]" * 1000] * 200), True),
        (b'{"instances": [%s]}' % PICTURE, False),
        (b'{"instances": [%s, %s]}' % (PICTURE, PICTURE), True),
        (b'{"instances": ["%s"]}' % (b"\\u00e9" * 3 * MB), True),
        (b'{"instances": [%s 1]}' % (b" " * 17 * MB), True),
    ],
    ids=["small", "numbers", "many numbers", "lists", "many lists", "picture", "pictures",
         "escapes", "spaces"],
)  # fmt: skip
def test_body_is_large_by_its_elements_or_its_bytes(body: bytes, is_large: bool) -> None:
    assert is_large_body(body) is is_large


def test_to_tell_a_large_picture_takes_no_time() -> None:
    taken_s = []
    for _ in range(9):
        began_s = time.perf_counter()
        is_large_body(PICTURE)
        taken_s.append(time.perf_counter() - began_s)

    assert min(taken_s) < 0.01  # 2 ms; to read it takes 60


def test_outputs_are_large_by_all_their_elements_or_the_bytes_of_their_strings() -> None:
    assert not are_large_outputs({"a": np.ones(1000)})
    assert are_large_outputs({"a": np.ones((1000, 100)), "b": np.ones(100_000)})
    assert not are_large_outputs({"a": np.array([b"a" * 1000] * 500, object)})
    assert are_large_outputs({"a": np.array([b"a" * 1000] * 2000, object)})
