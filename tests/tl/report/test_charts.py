import re
import xml.etree.ElementTree as ET

import pytest

from tl.report.charts import INK, line_chart, scatter_chart

NAMES = ("$x$", "_hidden", "<b>&", "漢字", "$unbalanced", "a\nb")


@pytest.fixture
def chart() -> str:
    return line_chart({name: [(0, 0.1), (1, 0.9)] for name in NAMES}, x="step", y="loss")


def test_chart_is_well_formed_and_takes_the_colour_of_the_page(chart: str) -> None:
    root = ET.fromstring(chart)

    assert root.attrib["aria-label"] == "loss over step"
    assert "currentColor" in chart
    assert INK not in chart


def test_every_name_stands_in_the_legend_as_it_is(chart: str) -> None:
    words = [word.strip() for word in ET.fromstring(chart).itertext()]

    assert {"$x$", "_hidden", "<b>&", "漢字", "$unbalanced", "a\\nb"} <= set(words)


def test_ids_of_two_charts_do_not_meet_and_all_are_found() -> None:
    charts = [scatter_chart([(0, high), (1, 2)], x="a", y="b") for high in (1, 3)]
    ids = [set(re.findall(r'\bid="([^"]+)"', one)) for one in charts]

    assert not ids[0] & ids[1]
    for one, known in zip(charts, ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', one)) <= known


def test_same_points_give_the_same_chart(chart: str) -> None:
    assert line_chart({name: [(0, 0.1), (1, 0.9)] for name in NAMES}, x="step", y="loss") == chart


def test_single_point_is_seen() -> None:
    assert "<use" in line_chart({"training": [(1, 0.5)]}, x="step", y="loss").split("legend")[0]


def test_settings_of_the_process_are_left_alone(chart: str) -> None:
    import matplotlib as mpl

    assert mpl.rcParams["text.parse_math"] is True
