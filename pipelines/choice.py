"""What a comparison of backbones found, and how it reads. No Keras: values and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tl.durations import duration_words
from tl.evaluation.ranking import WORDS, Ranking, figure
from tl.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was measured of a backbone beside its score.

    Attributes:
        name: of the backbone.
        image_size: (height, width) in pixels.
        parameters: without a head.
        multiply_adds: for one picture.
        logme: evidence of the training pictures' features, a picture.
        pictures_per_second: read and run through it here.
        epoch_s: seconds an epoch of fine-tuning is expected to take, by strategy.
        n_stored: pictures whose features an earlier run had computed.
        seconds: that trying it took.
    """

    name: str
    image_size: tuple[int, int]
    parameters: int
    multiply_adds: int
    logme: float
    pictures_per_second: float
    epoch_s: Mapping[str, float]
    n_stored: int
    seconds: float

    @property
    def megabytes(self) -> float:
        """Size of the parameters as they are exported, in float32."""
        return 4 * self.parameters / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A ranking of backbones on a dataset.

    Attributes:
        ranking: scores in their order, and which to take.
        tried: by name.
        not_tried: name, and seconds it would have taken.
        faults: name, and why it cannot be used.
        judged: who judged, for people.
        n_pictures: training and validation pictures that were looked at.
        n_pool: of how many.
        seconds: that it took.
    """

    ranking: Ranking
    tried: Mapping[str, Tried]
    not_tried: tuple[tuple[str, float], ...]
    faults: tuple[tuple[str, str], ...]
    judged: str
    n_pictures: int
    n_pool: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, the best backbone first."""
        ranking = self.ranking
        return {
            "score": ranking.score_name,
            "recommended": ranking.recommended,
            "reason": ranking.reason,
            "backbones": [
                {
                    "rank": place,
                    "backbone": row.name,
                    ranking.score_name: row.score,
                    "interval_95": list(row.interval),
                    "p_value_of_equal_to_first": row.p_value,
                    "as_good_as_first": row.ties,
                    **_plain(self.tried[row.name]),
                }
                for place, row in enumerate(ranking.rows, 1)
            ],
            "not_tried": [
                {"backbone": name, "expected_seconds": seconds} for name, seconds in self.not_tried
            ],
            "faults": [{"backbone": name, "fault": fault} for name, fault in self.faults],
            "judged_by": self.judged,
            "n_pictures_judging": ranking.n_pictures,
            "n_pictures": self.n_pictures,
            "n_pictures_of_dataset": self.n_pool,
            "seconds": self.seconds,
        }


def ranking_lines(choice: Choice) -> list[str]:
    """Describe a choice for people: the table, what it rests on, and which backbone to take."""
    ranking = choice.ranking
    head = ("", "", "backbone", "pixels", WORDS[ranking.score_name], "95 % interval", "LogME",
            "pictures/s", "parameters", "MB", "epoch of last", "of all")  # fmt: skip
    cells = [head]
    for place, row in enumerate(ranking.rows, 1):
        one = choice.tried[row.name]
        sign = ">" if row.name == ranking.recommended else "=" if row.ties else ""
        low, high = (figure(value, ranking.score_name) for value in row.interval)
        cells.append(
            (sign, f"{place}", row.name, f"{one.image_size[0]}",
             figure(row.score, ranking.score_name), f"{low} to {high}", f"{one.logme:.3f}",
             f"{one.pictures_per_second:,.0f}", f"{one.parameters:,}",
             f"{one.megabytes:,.1f}", duration_words(one.epoch_s["last"]),
             duration_words(one.epoch_s["all"]))
        )  # fmt: skip
    lines = aligned(cells, left=2)
    tied = [row.name for row in ranking.rows if row.ties]
    lines.append(
        f"  > take this one{'; = as good, as far as these pictures can tell' * (len(tied) > 1)}"
    )
    for name, seconds in choice.not_tried:
        lines.append(f"not tried {name}: would take about {duration_words(seconds)}")
    lines += [f"left out  {name}: {fault}" for name, fault in choice.faults]
    lines.append(f"judged    {choice.judged}; the test pictures took no part")
    if choice.n_pictures < choice.n_pool:
        lines.append(
            f"sample    {choice.n_pictures:,} of {counted(choice.n_pool, 'picture')}, of every "
            "class its share and the same for all backbones: more do not fit into the time budget"
        )
    lines.append(f"take      {ranking.recommended}: {ranking.reason}")
    return lines


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return rows of cells as lines; the column of number ``left`` is ragged right, all others not.

    Args:
        rows: of equally many cells.
        left: place of the column of names.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" if place == left else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _plain(one: Tried) -> dict[str, Any]:
    return {
        "image_size": list(one.image_size),
        "logme": one.logme,
        "pictures_per_second": one.pictures_per_second,
        "parameters": one.parameters,
        "megabytes": one.megabytes,
        "multiply_adds": one.multiply_adds,
        "epoch_seconds": dict(one.epoch_s),
        "n_stored": one.n_stored,
        "seconds": one.seconds,
    }
