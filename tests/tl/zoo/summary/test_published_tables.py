"""Networks agree with the tables of papers and lectures; where they do not, the test says how.

Sources:
    CS231n: Stanford, "Convolutional neural networks for visual recognition", notes "Convolutional
        networks" (case study VGGNet) and lecture 9, "CNN architectures", 2017.
    EECS 498: University of Michigan, "Deep learning for computer vision", lecture 8, "CNN
        architectures", 2019. Its K and M are 1000 and 1000², its KB 1024 bytes, its "flop" a
        multiply-add, or for pooling a value that a window reads.
docs/summary.md lists the differences.
"""

import pytest

from tl.zoo.backbones import find_backbone
from tl.zoo.summary.described import Described, describe
from tl.zoo.summary.network import Layer, Network


@pytest.fixture(scope="module")
def vgg16() -> Network:
    return describe(find_backbone("vgg16")).network


@pytest.fixture(scope="module")
def googlenet() -> Network:
    return describe(find_backbone("googlenet")).network


@pytest.fixture(scope="module")
def alexnet() -> Network:
    return describe(find_backbone("alexnet")).network


def row(network: Network, name: str) -> Layer:
    return next(layer for layer in network.layers if layer.name == name)


def computing(network: Network) -> list[Layer]:
    """Rows that papers list: convolutions, pooling, fully connected layers."""
    return [one for one in network.layers if one.multiply_adds or one.pool_operations]


# CS231n's notes on VGGNet: output, weights without biases.
VGG16 = [
    ((224, 224, 64), 1_728), ((224, 224, 64), 36_864), ((112, 112, 64), 0),
    ((112, 112, 128), 73_728), ((112, 112, 128), 147_456), ((56, 56, 128), 0),
    ((56, 56, 256), 294_912), ((56, 56, 256), 589_824), ((56, 56, 256), 589_824),
    ((28, 28, 256), 0),
    ((28, 28, 512), 1_179_648), ((28, 28, 512), 2_359_296), ((28, 28, 512), 2_359_296),
    ((14, 14, 512), 0),
    ((14, 14, 512), 2_359_296), ((14, 14, 512), 2_359_296), ((14, 14, 512), 2_359_296),
    ((7, 7, 512), 0),
    ((4096,), 102_760_448), ((4096,), 16_777_216), ((1000,), 4_096_000),
]  # fmt: skip


def test_vgg16_layer_by_layer(vgg16: Network) -> None:
    found = [(one.output_shape, one.parameters.weights) for one in computing(vgg16)]

    assert found == VGG16


def test_vgg16_has_138_million_parameters(vgg16: Network) -> None:
    # Simonyan and Zisserman 2015, table 2: 138 million. CS231n's sum leaves out the biases.
    assert vgg16.parameters.total == 138_357_544
    assert vgg16.parameters.weights == sum(weights for _, weights in VGG16) == 138_344_128
    assert round(vgg16.parameters.total / 1e6) == 138


def test_vgg16_activations(vgg16: Network) -> None:
    # CS231n's notes give each row's memory (150K, 3.2M, 3.2M, 800K, ... 1000) and say "TOTAL
    # memory: 24M * 4 bytes ~= 93MB / image", the slides 96MB. Its own rows add up to 15.2 million,
    # 61 MB of 1,000,000 bytes, which is what is counted here. Were each ReLU kept beside the
    # convolution that it follows, it would be 28.8 million. 24 is neither.
    rows_in_thousands = [150, 3200, 3200, 800, 1600, 1600, 400, 800, 800, 800, 200, 400, 400, 400,
                         100, 100, 100, 100, 25, 4.096, 4.096, 1]  # fmt: skip
    own_rows = [vgg16.layers[0], *computing(vgg16)]
    rectified = [one for one in computing(vgg16) if one.activation == "relu"]

    for one, published in zip(own_rows, rows_in_thousands, strict=True):
        assert one.elements / 1000 == pytest.approx(published, rel=0.01)
    assert sum(one.elements for one in own_rows) == vgg16.elements == 15_237_608
    assert vgg16.elements * 4 == 60_950_432
    assert vgg16.elements + sum(one.elements for one in rectified) == 28_793_320


def test_vgg16_head(vgg16: Network) -> None:
    # EECS 498, lecture 8: 102,760 K, 16,777 K, 4,096 K (without biases, K = 1000).
    head = [row(vgg16, name).parameters.weights // 1000 for name in ("fc1", "fc2", "predictions")]

    assert head == [102_760, 16_777, 4_096]


# EECS 498, lecture 8, "GoogLeNet: aggressive stem": layer, memory KB, params K, flop M.
GOOGLENET_STEM = [
    ("conv1", 3136, 9, 118),
    ("pool1", 784, 0, 2),
    ("conv2_reduce", 784, 4, 13),
    ("conv2", 2352, 111, 347),
    ("pool2", 588, 0, 1),
]


@pytest.mark.parametrize(("name", "kb", "thousands", "millions"), GOOGLENET_STEM)
def test_googlenet_stem(
    googlenet: Network, name: str, kb: int, thousands: int, millions: int
) -> None:
    layer = row(googlenet, name)

    assert layer.kilobytes == kb
    assert round(layer.parameters.weights / 1000) == thousands
    assert round((layer.multiply_adds + layer.pool_operations) / 1e6) == millions


def test_googlenet_stem_together(googlenet: Network) -> None:
    stem = [row(googlenet, name) for name, *_ in GOOGLENET_STEM]

    # EECS 498, lecture 8: "7.5 MB, 124 K, 418 MFLOP".
    assert round(sum(one.kilobytes for one in stem) / 1024, 1) == 7.5
    assert sum(one.parameters.weights for one in stem) // 1000 == 124
    # The slide's own rows, 118 + 2 + 13 + 347 + 1, are 481; its 418 has two digits changed places.
    assert round(sum(one.multiply_adds + one.pool_operations for one in stem) / 1e6) == 481
    assert sum(millions for *_, millions in GOOGLENET_STEM) == 481


def test_vgg16_to_the_resolution_of_googlenets_stem(vgg16: Network) -> None:
    # EECS 498, lecture 8: "42.9 MB, 1.1 M, 7485 MFLOP". That is the sum of the first six
    # convolutions without pooling, of which VGG-16 has a seventh before it is down to 28x28.
    six = [one for one in vgg16.layers if one.name.startswith(("block1_conv", "block2_conv"))]
    six += [row(vgg16, "block3_conv1"), row(vgg16, "block3_conv2")]

    assert round(sum(one.kilobytes for one in six) / 1024, 1) == 42.9
    assert round(sum(one.parameters.weights for one in six) / 1e6, 1) == 1.1
    assert round(sum(one.multiply_adds for one in six) / 1e6) == 7485

    names = [one.name for one in vgg16.layers]
    whole = vgg16.layers[1 : names.index("block3_pool") + 1]
    assert round(sum(one.kilobytes for one in whole) / 1024, 1) == 51.3
    assert round(sum(one.parameters.weights for one in whole) / 1e6, 1) == 1.7
    assert round(sum(one.multiply_adds for one in whole) / 1e6) == 9335


def test_googlenet_classifier(googlenet: Network) -> None:
    # EECS 498, lecture 8: average pool 4 KB; fc 1025 K, this time with the 1000 biases.
    assert row(googlenet, "average_pool").kilobytes == 4
    assert row(googlenet, "average_pool").output_shape == (1024,)
    assert row(googlenet, "logits").parameters.trained == 1_025_000
    assert row(googlenet, "logits").parameters.weights == 1_024_000


def test_googlenet_inceptions(googlenet: Network) -> None:
    # Szegedy et al. 2015, table 1: output of every module. Parameters and operations are rounded
    # there, and those of its first rows do not follow from its own kernel sizes.
    published = {
        "3a": (28, 28, 256), "3b": (28, 28, 480), "4a": (14, 14, 512), "4b": (14, 14, 512),
        "4c": (14, 14, 512), "4d": (14, 14, 528), "4e": (14, 14, 832), "5a": (7, 7, 832),
        "5b": (7, 7, 1024),
    }  # fmt: skip

    for name, shape in published.items():
        assert row(googlenet, f"inception_{name}_output").output_shape == shape


def test_alexnet_layer_by_layer(alexnet: Network) -> None:
    # CS231n, lecture 9: CONV1 has 11 * 11 * 3 * 96 = 35 K weights.
    shapes = [one.output_shape for one in computing(alexnet)]

    assert shapes == [
        (55, 55, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (13, 13, 384), (13, 13, 384),
        (13, 13, 256), (6, 6, 256), (4096,), (4096,), (1000,),
    ]  # fmt: skip
    assert row(alexnet, "conv1").parameters.weights == 11 * 11 * 3 * 96 == 34_848
    assert round(row(alexnet, "conv1").parameters.weights / 1000) == 35
    # The paper says "60 million" (section 3.5) of the form with two groups, and counts biases.
    assert alexnet.parameters.total == 62_378_344
    grouped = describe(find_backbone("alexnet:groups=2")).network
    assert grouped.parameters.total == 60_965_224


@pytest.mark.parametrize(("name", "first"), [("resnet50", "conv1_conv"), ("resnet18", "conv1")])
def test_resnet_stem(name: str, first: str) -> None:
    # EECS 498, lecture 8: 3136 KB, 9 K, 118 M.
    layer = row(describe(find_backbone(name)).network, first)

    assert layer.kilobytes == 3136
    assert layer.parameters.weights == 9_408
    assert round(layer.multiply_adds / 1e6) == 118


@pytest.mark.parametrize(
    ("name", "millions", "within"),
    [
        ("resnet18", 1.8e3, 0.02),  # He et al. 2015, table 1
        ("resnet34", 3.6e3, 0.02),
        ("resnet50", 3.8e3, 0.02),
        ("mobilenet", 569, 0.001),  # Howard et al. 2017, table 4
        ("mobilenet_v2", 300, 0.005),  # Sandler et al. 2018, table 4
        ("mobilenet_v3_large", 217, 0.005),  # Keras' documentation of MobileNetV3
        # Zoph et al. 2018, table 2
        pytest.param("nasnet_mobile", 564, 0.001, marks=pytest.mark.slow),
        # torchvision's documentation of DenseNet-121
        pytest.param("densenet121", 2.83e3, 0.005, marks=pytest.mark.slow),
    ],
)
def test_multiply_adds_are_those_of_the_papers(name: str, millions: float, within: float) -> None:
    found = describe(find_backbone(name)).network

    assert found.multiply_adds / 1e6 == pytest.approx(millions, rel=within)


def test_json_has_the_total_as_keras_counts_it() -> None:
    found: Described = describe(find_backbone("resnet50"), batch=2)

    values = found.to_dict()

    assert values["parameters"] == 25_636_712  # keras.io/api/applications
    assert values["statistics"] == 53_120
    assert values["parameters"] == sum(
        one["weights"] + one["biases"] + one["statistics"] for one in values["layers"]
    )
    assert values["memory"]["parameters_bytes"] == 4 * 25_636_712
