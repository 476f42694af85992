"""Durations are read as they are written, and nonsense is refused with what would do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.durations import duration_words, parse_duration
from tl.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h", 3600), ("300", 300), (" 2M ", 120),
     ("1.5h", 5400), ("1h0m5s", 3605), ("0.5", 0.5), ("0h5m", 300)],
)  # fmt: skip
def test_hours_minutes_and_seconds_add_up(text: str, seconds: float) -> None:
    assert parse_duration(text, "--time-budget") == seconds


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_every_combination_is_read(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"

    assert parse_duration(text, "x") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "5 m", "m5", "5m1h", "1:30", "-5m", "+5", "nan", "inf", "1e3", "5mm",
             "5d"],
)  # fmt: skip
def test_nonsense_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="--time-budget .* is no duration.*90s, 5m or 1h30m") as e:
        parse_duration(text, "--time-budget")
    assert repr(text) in str(e.value)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "0.0", "9" * 400])
def test_no_time_and_endless_time_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="leaves no time; give more than 0 seconds"):
        parse_duration(text, "--time-budget")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (8.44, "8.4 s"), (9.97, "10 s"), (59.7, "1 min"), (125, "2 min 5 s"),
     (3600, "1 h"), (5400, "1 h 30 min"), (7199, "2 h")],
)  # fmt: skip
def test_words_are_as_exact_as_a_person_would_be(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words
