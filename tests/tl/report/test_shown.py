import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tl.report.shown import (
    LONGEST,
    shown_figure,
    shown_interval,
    shown_name,
    shown_percent,
    shown_seconds,
    shown_text,
)


@given(st.text())
def test_name_is_printable_and_has_room(name: str) -> None:
    assert shown_name(name).isprintable()
    assert len(shown_name(name)) <= LONGEST + 1


def test_both_ends_of_a_long_name_are_kept() -> None:
    shown = shown_name("folder/" + "x" * 300 + "/picture 0001.jpg")

    assert shown.startswith("folder/")
    assert shown.endswith("picture 0001.jpg")


def test_html_is_left_alone_and_bytes_that_are_no_text_are_shown() -> None:
    assert shown_text(Markup("<br>\n")) == "<br>\n"
    assert shown_text("a\udcff\u202e") == "a\\udcff\\u202e"


@pytest.mark.parametrize(
    ("value", "words"),
    [(1234567, "1,234,567"), (0.123456, "0.1235"), (True, "True"), ("a", "a"), (2e-6, "2e-06")],
)  # fmt: skip
def test_figures(value: object, words: str) -> None:
    assert shown_figure(value) == words


def test_shares_intervals_and_times() -> None:
    assert shown_percent(0.7909) == "79.1 %"
    assert shown_interval([0.5, 0.75]) == "0.5 to 0.75"
    assert shown_interval(None) == "–"
    assert [shown_seconds(one) for one in (0.2, 28, 600, 7200)] == [
        "1 s",
        "28 s",
        "10 min",
        "2.0 h",
    ]
