"""What is odd about single pictures, by what `tl.data.look` saw of them."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tl.data.example import Column, Dataset
from tl.data.exif import UPRIGHT
from tl.data.findings.finding import NAMED_AT_MOST, Finding, finding
from tl.data.look import Looks

TINY_SIDE = 32
"""Pixels of the shorter side: every backbone enlarges such a picture at least fourfold."""
HUGE_MEGAPIXELS = 40.0
"""Above most cameras; such a picture takes as long to decode as 200 of 500 x 400."""
BLANK_DEVIATION = 2.0
"""Levels: JPEG's noise on one colour stays below 1, the flattest of 750 photos has 22."""
MAX_ASPECT = 4.0
"""Longer side by shorter: squeezing or cropping to a square loses what such a picture shows."""
ODD_GREY_SHARE = 0.1
"""Grey pictures are odd where they are fewer than this: scans or another source among photos."""
NATURE_SHARE = 0.5
"""What more than this share of all pictures have is the dataset's nature: one finding for all."""


def unreadable_findings(dataset: Dataset, looks: Looks) -> Iterator[Finding]:
    """Name every picture that cannot be decoded, and why."""
    for place, fault in looks.faults.items():
        key = dataset.keys[place]
        yield finding("unreadable", [key], f"{key}: {fault}")


def altered_findings(dataset: Dataset, identities: Column) -> Iterator[Finding]:
    """Name pictures that are not the ones whose sha256 the dataset gives.

    Args:
        dataset: the readable pictures.
        identities: sha256 of each.
    """
    if dataset.identities is None:
        return
    for place in np.flatnonzero(dataset.identities != identities):
        key = dataset.keys[place]
        yield finding(
            "altered",
            [key],
            f"{key}: its sha256 is {identities[place]}, not the {dataset.identities[place]} of "
            "the table; training leaves it out",
        )


def trait_findings(dataset: Dataset, looks: Looks, good: NDArray[np.int64]) -> Iterator[Finding]:
    """Say what is odd in size, shape, colour and orientation.

    Args:
        dataset: the readable pictures.
        looks: of all pictures.
        good: places of the readable ones among all.
    """
    heights, widths = looks.heights[good], looks.widths[good]
    sizes = [f"{width} x {height}" for width, height in zip(widths, heights, strict=True)]
    short, long = np.minimum(heights, widths), np.maximum(heights, widths)
    megapixels = heights.astype(np.int64) * widths / 1e6
    blank = looks.deviations[good] < BLANK_DEVIATION
    grey = looks.is_grey[good] & ~blank
    turns = looks.orientations[good]

    def found(kind: str, mask: NDArray[np.bool_], say: Callable[[int], str]) -> Iterator[Finding]:
        places = np.flatnonzero(mask).tolist()
        if len(places) > max(NAMED_AT_MOST, NATURE_SHARE * len(good)):
            keys = [dataset.keys[place] for place in places[:NAMED_AT_MOST]]
            yield finding(
                kind,
                keys,
                f"{len(places):,} of {len(good):,} pictures: {keys[0]} {say(places[0])}, and so on",
            )
            return
        for place in places:
            key = dataset.keys[place]
            yield finding(kind, [key], f"{key} {say(place)}")

    yield from found("blank", blank, lambda one: "shows one colour only")
    yield from found("tiny", short < TINY_SIDE, lambda one: f"is {sizes[one]} pixels only")
    yield from found(
        "huge",
        megapixels > HUGE_MEGAPIXELS,
        lambda one: f"is {sizes[one]}, {megapixels[one]:.0f} megapixels: shrink it once",
    )
    yield from found(
        "extreme_aspect",
        long > MAX_ASPECT * short,
        lambda one: f"is {sizes[one]}, {long[one] / short[one]:.1f} times as long as wide",
    )
    if grey.sum() <= ODD_GREY_SHARE * len(good):
        yield from found("grey_among_colour", grey, lambda one: "is grey, most others have colour")
    yield from found(
        "turned",
        turns != UPRIGHT,
        lambda one: f"is turned by its EXIF orientation {turns[one]}: tl honours it, not all do",
    )
