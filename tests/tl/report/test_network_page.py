"""The page of a network: everything in one file, and a drawing that shows what there is."""

import re

import keras
import pytest

from tl.report.network_diagram import diagram, kind_of
from tl.report.network_graph import graph_of, shown_rest, shown_title
from tl.report.network_page import network_page, resolutions
from tl.zoo.backbones import find_backbone
from tl.zoo.summary.described import Described, describe
from tl.zoo.summary.network import summarise

layers = keras.layers


@pytest.fixture(scope="module")
def googlenet() -> Described:
    return describe(find_backbone("googlenet"))


def test_page_is_one_file_without_script_or_network(googlenet: Described) -> None:
    page = network_page(googlenet)

    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    assert "prefers-color-scheme: dark" in page
    assert "6,998,552" in page


def test_every_layer_is_in_the_table(googlenet: Described) -> None:
    page = network_page(googlenet)

    for layer in googlenet.network.layers:
        assert f"<td>{layer.name}</td>" in page


def test_layers_that_compute_are_boxes_and_the_others_are_named_in_them(
    googlenet: Described,
) -> None:
    graph = graph_of(googlenet.network.layers)
    boxes = [box for box in graph.boxes if box.layers]

    drawn = [layer.name for box in boxes for layer in box.layers]
    assert sorted(drawn) == sorted(layer.name for layer in googlenet.network.layers)
    first = next(box for box in boxes if box.layers[0].name == "conv2")
    assert (shown_title(first), shown_rest(first)) == ("3x3, 192", "relu LRN")
    pool = next(box for box in boxes if box.layers[0].name == "pool1")
    assert shown_title(pool) == "3x3 /2 pool"


def test_branches_stand_side_by_side_and_never_over_each_other(googlenet: Described) -> None:
    graph = graph_of(googlenet.network.layers)

    levels: dict[int, list[tuple[float, float]]] = {}
    for box in graph.boxes:
        levels.setdefault(box.level, []).append((box.x - box.width / 2, box.x + box.width / 2))
    assert max(len(ends) for ends in levels.values()) == 4
    for ends in levels.values():
        ordered = sorted(ends)
        for (_, end), (start, _) in zip(ordered, ordered[1:], strict=False):
            assert end < start
        assert ordered[0][0] >= 0
        assert ordered[-1][1] <= graph.width


def test_lines_lead_downwards_from_where_the_data_comes() -> None:
    inputs = keras.Input((8, 8, 4), name="picture")
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="second")(x)
    model = keras.Model(inputs, layers.Add(name="sum")([inputs, x]))
    graph = graph_of(summarise(model).layers)

    for box in graph.boxes:
        assert all(graph.boxes[parent].level == box.level - 1 for parent in box.parents)
    last = next(box for box in graph.boxes if box.layers and box.layers[0].name == "sum")
    assert len(last.parents) == 2
    assert sum(not box.layers for box in graph.boxes) == 2  # the shortcut passes two levels
    assert diagram(graph, "small").count("<rect") == 4


def test_wider_and_finer_maps_have_larger_boxes() -> None:
    graph = graph_of(describe(find_backbone("vgg16")).network.layers)
    by_name = {box.layers[0].name: box for box in graph.boxes if box.layers}

    assert by_name["block1_conv1"].width < by_name["block5_conv1"].width < by_name["fc1"].width
    assert by_name["block1_conv1"].height > by_name["block5_conv1"].height > by_name["fc1"].height


def test_kinds_have_colours_of_their_own() -> None:
    found = {layer.name: kind_of(layer)
             for layer in describe(find_backbone("mobilenet_0.25")).network.layers}  # fmt: skip

    assert (found["conv1"], found["conv_dw_1"], found["conv_pw_1"]) == ("conv", "part", "conv")
    pooling = next(name for name in found if name.startswith("global_average"))
    assert (found[pooling], found["predictions"]) == ("pool", "")


def test_names_are_escaped() -> None:
    inputs = keras.Input((8, 8, 4), name="picture")
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="a<b>&c")(inputs))

    drawn = diagram(graph_of(summarise(model).layers), "<svg>")

    assert "a&lt;b&gt;&amp;c" in drawn
    assert "a<b>" not in drawn
    assert 'aria-label="diagram of &lt;svg&gt;"' in drawn


def test_shares_by_resolution_add_up() -> None:
    found = resolutions(describe(find_backbone("vgg16")).network.layers)

    assert [one.shown for one in found] == [
        "224x224", "112x112", "56x56", "28x28", "14x14", "7x7", "vectors",
    ]  # fmt: skip
    # Where CS231n says that most memory is in early convolutions, most parameters in late layers.
    assert float(found[0].activations.split()[0]) > 40
    assert float(found[-1].parameters.split()[0]) > 85
    assert sum(float(one.multiply_adds.split()[0]) for one in found) == pytest.approx(100, abs=0.4)
