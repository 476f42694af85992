"""Every backbone can be described: as Keras counts it, to its last layer, as a drawing.

The default run takes one row of each way to be built; `-m slow` takes the largest and deepest,
`-m soak` them all.
"""

import functools
import gc
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from tl.report.network_page import network_page
from tl.zoo.backbones import BACKBONES, find_backbone
from tl.zoo.summary.described import describe
from tl.zoo.summary.networks import unallocated_network

QUICK = ("tl_small", "mobilenet_v3_small", "efficientnet_b0", "vgg16", "convnext_tiny", "googlenet",
         "allconv")  # fmt: skip
LARGE = ("efficientnet_v2_l", "convnext_xlarge", "nasnet_large", "inception_resnet_v2", "resnet152",
         "inception_v4", "densenet201", "xception", "resnext50")  # fmt: skip


@functools.cache
def _in_the_documentation() -> dict[str, tuple[float, float]]:
    """Millions of parameters and of multiply-adds by name, of the measured table."""
    page = Path(__file__).parents[2] / "docs" / "summary.md"
    rows = re.findall(r"^\| `(\S+)` \| \d+ \| ([\d.,]+) \| ([\d,]+) \|", page.read_text(), re.M)
    return {
        name: (float(millions.replace(",", "")), float(multiply_adds.replace(",", "")))
        for name, millions, multiply_adds in rows
    }


@pytest.fixture(autouse=True)
def _forget_models() -> Iterator[None]:
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=() if name in QUICK else pytest.mark.slow if name in LARGE else pytest.mark.soak,
        )
        for name in BACKBONES
    ],
)
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
    millions, multiply_adds = _in_the_documentation()[name]
    assert millions == pytest.approx(whole.network.parameters.total / 1e6, abs=0.0051)
    assert multiply_adds == pytest.approx(whole.network.multiply_adds / 1e6, abs=0.51)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["activation=maxout", "normalisation=batch,groups=2"])
def test_options_of_a_classic_are_described(options: str) -> None:
    row = find_backbone(f"alexnet:{options}")

    assert describe(row).network.parameters.total == unallocated_network(row).count_params()
