import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from tl.report.bubble_chart import Bubble, bubble_chart, ticks_between

BUBBLES = [
    Bubble(name="vgg16", multiply_adds=15_470_264_320, accuracy=71.3, parameters=138_357_544),
    Bubble(name="mobilenet_v2", multiply_adds=300_774_272, accuracy=71.3, parameters=3_538_984),
]


def test_svg_names_every_network_and_the_source() -> None:
    drawn = bubble_chart(BUBBLES, "svg", "https://keras.io").decode()

    for text in ("vgg16", "mobilenet_v2", "Accuracy: https://keras.io", "138 million"):
        assert text in drawn


def test_svg_is_the_same_each_time() -> None:
    assert bubble_chart(BUBBLES, "svg", "x") == bubble_chart(BUBBLES, "svg", "x")


def test_png_has_something_on_white() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(bubble_chart(BUBBLES, "png", "x"))).convert("RGB"))

    assert pixels.shape[1] > 1000
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("count", [1, 30])
def test_many_names_at_one_place_are_all_written(count: int) -> None:
    many = [Bubble(name=f"net_{at}", multiply_adds=10**9, accuracy=75.0, parameters=10**6)
            for at in range(count)]  # fmt: skip

    drawn = bubble_chart(many, "svg", "x").decode()

    assert all(f">net_{at}<" in drawn for at in range(count))


@pytest.mark.parametrize("ratio", [1.05, 1.5, 2.5, 3.2, 6, 9.5, 12, 30, 40, 100, 999, 1e5, 1e12])
@pytest.mark.parametrize("least", [0.00071, 0.3, 4.2])
def test_ticks_are_some_and_do_not_collide(least: float, ratio: float) -> None:
    ticks = ticks_between(least, least * ratio)

    places = [math.log(one / least) / math.log(ratio) for one in ticks]
    assert 3 <= len(ticks) <= 14
    assert min(places) >= 0
    assert max(places) <= 1
    # The axis is 1200 pixels long, and a number takes 50 at most.
    assert min(right - left for left, right in zip(places, places[1:], strict=False)) > 0.045


@pytest.mark.parametrize("ratio", [1, 1.5, 4, 1000])
def test_numbers_of_the_axis_are_plain(ratio: float) -> None:
    two = [Bubble(name=name, multiply_adds=round(4e9 * times), accuracy=75.0, parameters=10**7)
           for name, times in (("one", 1), ("other", ratio))]  # fmt: skip

    drawn = bubble_chart(two, "svg", "x").decode()

    assert "mathdefault" not in drawn
    axis = drawn[drawn.index('id="matplotlib.axis_1"') : drawn.index('id="matplotlib.axis_2"')]
    numbers = re.findall(r">([^<>]+)</text>", axis)[:-1]
    assert len(numbers) >= 2
    assert all(float(one) > 0 for one in numbers)


def test_a_name_keeps_off_its_neighbours_bubble() -> None:
    def side_of(name: str, others: list[Bubble]) -> str:
        small = Bubble(name=name, multiply_adds=10**9, accuracy=75.0, parameters=10**6)
        far = Bubble(name="far", multiply_adds=10**11, accuracy=80.0, parameters=10**8)
        drawn = bubble_chart([small, far, *others], "svg", "x").decode()
        found = re.search(rf"<text ([^>]*)>{name}<", drawn)
        assert found is not None
        side = re.search(r"text-anchor: (\w+)", found[1])
        return side[1] if side else "start"

    right = Bubble(name="right", multiply_adds=14 * 10**8, accuracy=75.0, parameters=9 * 10**7)

    assert side_of("small", []) == "start"
    assert side_of("small", [right]) == "end"
