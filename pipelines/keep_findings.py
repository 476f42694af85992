"""Keep, in the run's folder, what an exported model said of pictures and what was found out of it.

predictions.parquet       a row a picture that it was measured on
evaluation.json           findings: intervals, calibration, abstention, robustness, slices, speed
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.assess import assess
from pipelines.caution import outside_views
from pipelines.exported import EVALUATION
from pipelines.measured import Measured
from tl.data.example import Side
from tl.data.prepare import PreparedData, ReadablePictures
from tl.evaluation.caution import Caution
from tl.evaluation.measures import Question
from tl.evaluation.predictions import (
    NO_GROUP,
    PREDICTIONS,
    Predictions,
    write_predictions,
)
from tl.evaluation.served import ServedModel
from tl.evaluation.slices import size_words
from tl.run_folder import RunRecord
from tl.words import storable
from tl.written_aside import written_aside

_log = logging.getLogger(__name__)


def keep_predictions(folder: Path, data: PreparedData, side: Side, measured: Measured) -> None:
    """Write the table.

    Args:
        folder: of the run.
        data: its pictures.
        side: that was measured.
        measured: what came of it.
    """
    places = data.places(side)[measured.places]
    pictures = data.pictures
    write_predictions(
        Predictions(
            problem=data.problem,
            class_names=data.class_names,
            side=side,
            keys=[one.key for one in measured.examples],
            identities=[str(pictures.identities[place]) for place in places.tolist()],
            truth=measured.truth,
            answers=measured.answers,
            extras=measured.extras,
            cuts=cuts_of(pictures, places),
        ),
        folder / PREDICTIONS,
    )


def find_out(
    record: RunRecord,
    data: PreparedData,
    side: Side,
    served: ServedModel,
    measured: Measured,
    caution: Caution,
) -> dict[str, Any]:
    """Look at the model from all sides; a look that fails is said and costs nothing else.

    Args:
        record: of the run.
        data: its pictures.
        side: that was measured.
        served: the exported model.
        measured: what came of it.
        caution: what it says beside its answers.
    """
    config = record.config.evaluation
    try:
        return assess(
            served,
            measured,
            Question(record.problem, record.class_names, record.training_values),
            cuts=cuts_of(data.pictures, data.places(side)[measured.places]),
            outside=outside_views(record, data.side(side)),
            robustness=config.robustness,
            caution=caution.facts,
        )
    except Exception as error:  # noqa: BLE001 - whatever fails here, the model does not
        _log.warning("a look at the model failed, the model is not concerned: %r", error)
        return {}


def keep_findings(
    folder: Path, version: Path, side: Side, measured: Measured, findings: Mapping[str, Any]
) -> None:
    """Write what was found out of a version."""
    facts = {
        "saved_model": str(version),
        "measured_on": side,
        "metrics": measured.metrics,
        **findings,
    }
    with written_aside(folder / EVALUATION) as aside:
        aside.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def cuts_of(pictures: ReadablePictures, places: Any) -> dict[str, list[str]]:
    """Return the ways to cut some pictures into parts: their group, folder and size."""
    some = pictures.examples.take(places)
    cuts = {}
    if some.groups is not None:
        cuts["group"] = [
            NO_GROUP if group is None else storable(str(group)) for group in some.groups
        ]
    # The folder of a class says what the class does; one below it may be a camera or a day.
    folders = [
        storable(key.rpartition("/")[0].removeprefix(name).strip("/")) or "."
        for key, name in zip(some.keys, some.answers(), strict=True)
    ]
    if len(set(folders)) > 1:
        cuts["folder"] = folders
    if pictures.sizes is not None and len(places):
        cuts["size"] = size_words(np.asarray(pictures.sizes)[places])
    return cuts
