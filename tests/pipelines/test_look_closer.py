"""A look that fails costs nothing but a line."""

import pytest

from pipelines.look_closer import going_on


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AssertionError(), "AssertionError"),
        (MemoryError(), "MemoryError"),
        (ValueError("first\nsecond"), "first"),
    ],
)
def test_failure_is_said_in_a_line(error: Exception, words: str) -> None:
    said: list[str] = []

    def fail() -> None:
        raise error

    with going_on("the report", said.append):
        fail()
    assert said == [f"warning: the report failed, the model is not concerned: {words}"]
