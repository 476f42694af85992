"""How much of a time budget the probes of several backbones take, and which pictures fit into it.

Pure: what was measured goes in, seconds and a share of the pictures come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

VALUE_S = 4e-6
"""Seconds of probing for each feature of each picture, before any was measured: twice what it
takes on 2 idle cores (1e-6 to 2e-6), since the sample that it decides is not made smaller later."""
REST_WIDTH = 500
"""Features that would take as long as what a probe does beside them: outputs, losses (measured
with 256 and 1,280)."""
ROOM = 0.8
"""Share of the time that may be planned with: a machine has other things to do, too."""


@dataclass(frozen=True, slots=True)
class Work:
    """What trying a backbone takes.

    Attributes:
        name: of the backbone.
        multiply_adds: for one picture.
        width: number of its features.
        missing: pictures of the whole pool without stored features.
    """

    name: str
    multiply_adds: int
    width: int
    missing: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What was measured so far, of the dearest backbone that was tried.

    Attributes:
        multiply_adds: of that backbone.
        picture_s: seconds for each picture through it, reading included.
        start_s: seconds until its first picture: building, weights, measuring the pace itself.
        value_s: seconds of probing for each feature of each picture.
    """

    multiply_adds: int
    picture_s: float
    start_s: float
    value_s: float = VALUE_S


def expected_seconds(work: Work, pace: Pace, n_pictures: int, share: float) -> float:
    """Return the time that trying a backbone will take.

    A picture's time grows with the multiply-adds, though less for cheap backbones, where reading
    weighs in: dear ones are rather over- than underestimated.

    Args:
        work: of the backbone.
        pace: measured.
        n_pictures: of the whole pool.
        share: of them that are looked at, 0 to 1.
    """
    return pace.start_s + share * _variable_seconds(work, pace, n_pictures)


def probed_values(n_pictures: int, width: int) -> int:
    """Return what the time of a probe is proportional to."""
    return n_pictures * (width + REST_WIDTH)


def _variable_seconds(work: Work, pace: Pace, n_pictures: int) -> float:
    slower = max(1.0, work.multiply_adds / max(1, pace.multiply_adds))
    return (
        work.missing * pace.picture_s * slower
        + probed_values(n_pictures, work.width) * pace.value_s
    )


def affordable_share(
    works: Sequence[Work], pace: Pace, n_pictures: int, left_s: float, least_share: float
) -> float:
    """Return the share of the pictures with which as many backbones as can be are tried.

    More backbones count for more than more pictures, down to a share below which the ranking would
    be chance.

    Args:
        works: from cheap to dear; the pace was measured on the first, which has started.
        pace: measured.
        n_pictures: of the whole pool.
        left_s: seconds.
        least_share: of the pictures, above 0 to 1.

    Returns:
        From ``least_share`` to 1; ``least_share`` also where not even the first fits with it.
    """
    room = ROOM * left_s
    for count in range(len(works), 0, -1):
        starts = pace.start_s * (count - 1)
        variable = sum(_variable_seconds(work, pace, n_pictures) for work in works[:count])
        share = (room - starts) / variable if variable else 1.0
        if share >= least_share:
            return min(1.0, share)
    return least_share
