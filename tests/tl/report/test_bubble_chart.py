import io

import numpy as np
import pytest
from PIL import Image

from tl.report.bubble_chart import Bubble, bubble_chart

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
