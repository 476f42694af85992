"""Which labels of a run's pictures are probably wrong, as ``suspects.csv``.

Five probes on the frozen backbone's features, each judging the pictures that it did not learn from;
the features are mostly there already. `tl finetune --exclude runs/RUN/suspects.csv` leaves the
pictures out.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.backbone_features import backbone_facts, feature_folder
from tl.config import DataConfig
from tl.data.batches import Feed
from tl.data.prepare import PreparedData
from tl.data.strata import strata_of, stratified_folds, units_of
from tl.errors import ConfigError
from tl.evaluation.calibration import probabilities_of
from tl.evaluation.label_errors import Suspect, find_suspects
from tl.features import FeatureExtractor, plain_view
from tl.training.unseen import FOLDS, Judging, scoring_of, unseen_outputs
from tl.words import storable
from tl.written_aside import written_aside
from tl.zoo.backbones import Backbone
from tl.zoo.build import build_backbone
from tl.zoo.weights import Weights

MOST = 20_000
"""Pictures: the probes of more take longer than a look at them is worth."""
COLUMNS = ("key", "identity", "side", "given", "proposed", "doubt")


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """A picture whose label is doubted.

    Attributes:
        key: what messages call it.
        identity: its content hash.
        side: of the split.
        given: class that it is labelled with.
        proposed: class that it seems to be.
        doubt: probability of the one less that of the other, up to 1.
    """

    key: str
    identity: str
    side: str
    given: str
    proposed: str
    doubt: float


def find_label_errors(
    data: PreparedData,
    backbone: Backbone,
    weights: Weights,
    image_size: tuple[int, int],
    *,
    config: DataConfig,
    feed: Feed,
    seed: int,
) -> list[SuspectRow]:
    """Return the pictures whose label is doubted, the surest first.

    Args:
        data: all pictures, of one class each; of more than `MOST` a part is looked at.
        backbone: whose features are looked at.
        weights: of it.
        image_size: (height, width).
        config: whether features are kept.
        feed: how pictures are read.
        seed: of the folds.
    """
    pictures = data.pictures
    examples = pictures.examples
    places = np.arange(len(examples))
    if len(places) > MOST:
        places = np.sort(np.random.default_rng(seed).choice(places, MOST, replace=False))
        examples = examples.take(places)
    identities = [str(pictures.identities[place]) for place in places.tolist()]
    extractor = FeatureExtractor(
        build_backbone(backbone, image_size, weights),
        backbone_facts(backbone, weights, image_size),
        feature_folder(config, weights),
        config.feature_precision,
    )
    table = extractor.extract(
        examples,
        plain_view(image_size),
        identities=identities,
        stages=[len(extractor.widths) - 1],
        feed=feed,
    )
    readable = table.weights > 0
    folds = stratified_folds(strata_of(examples), units_of(examples), FOLDS, seed)
    if len(np.unique(folds)) < 2:
        return []
    rounds = tuple(
        (np.flatnonzero((folds != fold) & readable), np.flatnonzero(folds == fold))
        for fold in np.unique(folds)
    )
    objective = scoring_of("single_label", len(data.class_names), table.targets)
    labels, weights_of = table.targets.tolist(), table.weights.copy()
    suspects: list[Suspect] = []
    # The first probes have learned from the wrong labels, too; the second ones less so.
    for _ in range(2):
        outputs = unseen_outputs(
            table.features, table.targets, weights_of, Judging(rounds, folds, ""), objective
        )
        seen = np.flatnonzero(readable)
        found = find_suspects(
            probabilities_of(outputs[seen], "single_label"), [labels[place] for place in seen]
        )
        suspects = [replace(one, place=int(seen[one.place])) for one in found]
        weights_of[[one.place for one in suspects]] = 0
    names = data.class_names
    return [
        SuspectRow(
            key=storable(str(examples.keys[one.place])),
            identity=identities[one.place],
            side=data.sides[int(places[one.place])],
            given=names[one.given],
            proposed=names[one.proposed],
            doubt=one.doubt,
        )
        for one in suspects
    ]


def write_suspects(rows: Sequence[SuspectRow], path: Path) -> None:
    """Write the CSV in one step."""
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(
                (row.key, row.identity, row.side, row.given, row.proposed, f"{row.doubt:.4f}")
            )


def read_suspects(path: Path) -> list[SuspectRow]:
    """Read the CSV; nothing where there is none.

    Raises:
        ConfigError: it is damaged.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                SuspectRow(**{**row, "doubt": float(row["doubt"])})  # type: ignore[arg-type]
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"{path} was not written by tl, or was changed: {error}") from error
