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


def test_a_shortcut_leaves_before_the_normalisation_that_it_passes() -> None:
    inputs = keras.Input((8, 8, 4), name="picture")
    start = layers.Conv2D(4, 3, padding="same", name="start")(inputs)
    x = layers.BatchNormalization(name="norm")(start)
    x = layers.ReLU(name="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", name="inner")(x)
    model = keras.Model(inputs, layers.Add(name="sum")([start, x]))
    boxes = [box for box in graph_of(summarise(model).layers).boxes if box.layers]

    assert [(shown_title(box), shown_rest(box)) for box in boxes] == [
        ("picture", ""), ("3x3, 4", ""), ("norm", "relu"), ("3x3, 4", ""), ("+", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["resnet50_v2", "densenet121", "nasnet_mobile", "mobilenet_v3_small", "tl_small"]
)
def test_lines_leave_a_box_after_all_that_is_named_in_it(name: str) -> None:
    found = describe(find_backbone(name)).network.layers
    boxes = [box for box in graph_of(found).boxes if box.layers]

    ends = set()
    for box in boxes:
        changing = [one for one in box.layers if not one.shares_memory and one.kind != "Cast"]
        ends |= {one.name for one in box.layers[box.layers.index(changing[-1]) :]}
    for box in boxes:
        assert set(box.layers[0].inputs) <= ends


def _drawn(name: str) -> list[tuple[str, str]]:
    found = graph_of(describe(find_backbone(name)).network.layers)
    return [(shown_title(box), shown_rest(box)) for box in found.boxes if box.layers]


@pytest.mark.parametrize(
    ("name", "title", "rest"),
    [
        ("lenet5:activation=leaky_relu", "5x5, 6", "leaky_relu"),
        ("lenet5:activation=maxout", "5x5, 12", "maxout"),
        ("resnet18", "picture", "pad"),
        ("mobilenet_v3_small", "1x1, 16", "hard_sigmoid"),
        ("mobilenet_v3_small", "1x1, 8", "relu"),
        ("convnext_tiny", "dense, 96", "scaling"),
        ("efficientnet_b0", "picture", "scaling pad"),
    ],
)
def test_what_follows_value_by_value_is_named(name: str, title: str, rest: str) -> None:
    assert (title, rest) in _drawn(name)


def test_statistics_over_all_positions_have_boxes() -> None:
    drawn = _drawn("tl_small")

    for statistic in ("mean", "deviation"):
        assert drawn.count((statistic, "")) == 4
    graph = graph_of(describe(find_backbone("tl_small")).network.layers)
    last = next(box for box in graph.boxes if box.layers and box.layers[0].name == "concatenate")
    assert len(last.parents) == 8
    assert [shown for shown, _ in graph.resolutions] == [
        "128x128", "64x64", "32x32", "16x16", "8x8",
    ]  # fmt: skip


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
