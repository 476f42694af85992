"""Every backbone can be described: as Keras counts it, to its last layer, as a drawing.

The default run takes one row of each way to be built; `-m slow` takes them all.
"""

import gc
from collections.abc import Iterator

import keras
import pytest

from tl.report.network_page import network_page
from tl.zoo.backbones import BACKBONES, find_backbone
from tl.zoo.summary.described import describe
from tl.zoo.summary.networks import unallocated_network

QUICK = ("tl_small", "mobilenet_v3_small", "efficientnet_b0", "vgg16", "convnext_tiny", "googlenet",
         "allconv")  # fmt: skip


@pytest.fixture(autouse=True)
def _forget_models() -> Iterator[None]:
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
             for name in BACKBONES],
)  # fmt: skip
def test_backbone_is_described_as_it_is(name: str) -> None:
    row = find_backbone(name)

    as_backbone = describe(row, features=True).network
    whole = describe(row)

    assert as_backbone.parameters.total == row.parameters
    assert whole.network.parameters.total == unallocated_network(row).count_params()
    last = whole.network.layers[-1].field
    assert last is not None, "what a layer sees is known to the end"
    assert last.whole
    assert f"{whole.network.parameters.total:,}" in network_page(whole)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["activation=maxout", "normalisation=batch"])
def test_options_of_a_classic_are_described(options: str) -> None:
    row = find_backbone(f"alexnet:{options}")

    assert describe(row).network.parameters.total == unallocated_network(row).count_params()
