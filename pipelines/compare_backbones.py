"""Backbones beside each other: what they cost, what they reached, how fast they are here.

    tl zoo compare vgg16 resnet50 mobilenet_v2

docs/summary.md has the table.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras

from tl.zoo.backbones import Backbone
from tl.zoo.imagenet_accuracy import ACCURACY
from tl.zoo.summary.described import describe
from tl.zoo.summary.networks import described_network
from tl.zoo.summary.speed import pictures_per_second

BATCHES = (1, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One backbone, as the network of its paper.

    Attributes:
        name: of the backbone.
        image_size: (height, width) in pixels.
        parameters: as Keras counts them, the classifier's among them.
        multiply_adds: of one picture.
        forward_bytes: memory to run one picture at a time; see ``tl.zoo.summary.network.Memory``.
        top_1: published accuracy in percent; None where there is none.
        top_5: likewise.
        pictures_per_second: by pictures a call, on this machine; empty where not measured.
    """

    name: str
    image_size: tuple[int, int]
    parameters: int
    multiply_adds: int
    forward_bytes: int
    top_1: float | None
    top_5: float | None
    pictures_per_second: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def compare_backbones(
    backbones: Sequence[Backbone],
    *,
    measure: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Compared]:
    """Return a row for each backbone.

    Args:
        backbones: rows of the table.
        measure: run each with random weights, too; seconds each for small ones, minutes for large
            ones, and memory for their weights.
        say: is told what is measured.
    """
    rows = []
    for backbone in backbones:
        speeds = {}
        if measure:
            say(f"measuring {backbone.name} ...")
            speeds = _speeds(backbone)
        found = describe(backbone)
        accuracy = ACCURACY.get(backbone.name)
        rows.append(
            Compared(
                name=backbone.name,
                image_size=backbone.image_size,
                parameters=found.network.parameters.total,
                multiply_adds=found.network.multiply_adds,
                forward_bytes=found.memory.forward,
                top_1=accuracy.top_1 if accuracy else None,
                top_5=accuracy.top_5 if accuracy else None,
                pictures_per_second=speeds,
            )
        )
    return rows


def _speeds(backbone: Backbone) -> dict[int, float]:
    model = described_network(backbone)
    speeds = {batch: pictures_per_second(model, batch) for batch in BATCHES}
    del model
    # One network at a time: Keras keeps names and graphs of all that were built.
    keras.backend.clear_session()
    gc.collect()
    return speeds
