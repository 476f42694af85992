"""From a run's folder to a published version: rebuild, save, measure the saved artefact, publish.

    tl export RUN

The network is built again from the run's record in float32, whatever it trained in, so that an
export right after training and one a month later are the same thing.
"""

import dataclasses
import datetime
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines.assess import measure_speed
from pipelines.caution import Onlooker, settle_caution
from pipelines.exported import Exported
from pipelines.keep_findings import find_out, keep_findings, keep_predictions
from pipelines.measured import Measured, measure
from pipelines.parity import started_check
from tl.classifier import build_classifier
from tl.config import EvaluationConfig
from tl.data.contents import encode_png
from tl.data.example import Side
from tl.data.prepare import PreparedData
from tl.errors import ExportError
from tl.evaluation.caution import Caution
from tl.evaluation.measures import Question
from tl.evaluation.served import load_served_model
from tl.export.saved_model import write_saved_model
from tl.export.versions import publish_version
from tl.export.warmup import write_warmup_requests
from tl.run_folder import SPLIT, WEIGHTS, RunRecord, read_record
from tl.zoo.backbones import find_backbone

_log = logging.getLogger(__name__)


def export_run(
    folder: Path, data: PreparedData, evaluation: EvaluationConfig | None = None
) -> Exported:
    """Publish the next version of a run's model.

    Args:
        folder: of the run; its record, weights and split are read.
        data: the run's pictures, to measure the artefact on.
        evaluation: how it is looked at; None takes what the run was given.

    Raises:
        ExportError: no weights yet, not writable, or the disk is full.
    """
    record = read_record(folder)
    if evaluation is not None:
        config = dataclasses.replace(record.config, evaluation=evaluation)
        record = dataclasses.replace(record, config=config)
    if data.problem != record.problem:
        raise ExportError(
            f"{record.config.dataset} is labelled for {data.problem} now, and {folder.name} was "
            f"trained for {record.problem}. Put its labels back as they were"
        )
    if data.class_names != record.class_names:
        raise ExportError(
            f"{record.config.dataset} has other classes now than when {folder.name} was trained: "
            f"{', '.join(data.class_names)} against {', '.join(record.class_names)}. "
            "Put the folders back as they were"
        )
    side = measured_side(data)
    examples = () if side is None else data.side(side)
    network = rebuild_network(folder / WEIGHTS, record)
    onlooker = Onlooker(network, record.image_size)
    caution = settle_caution(onlooker, record, data)
    found: list[tuple[Measured, dict[str, Any]]] = []

    def write(version: Path) -> None:
        _write_model(network, record, version, caution)
        with started_check(version, record, data) as check:
            served = load_served_model(version)
            measured = measure(served, examples, question_of(record))
            # While the fresh process is starting.
            findings = find_out(record, data, side, served, measured, caution) if side else {}
            parity = None if check is None else check.finish(onlooker, caution)
        findings["speed"] = measure_speed(served, measured)
        _write_manifest(folder, record, version, side, measured.metrics, caution, parity)
        found.append((measured, {**findings, "caution": caution.facts, "parity": parity}))

    path = publish_version(Path(record.config.output) / record.name, write)
    ((measured, findings),) = found
    if side is not None:
        try:
            keep_predictions(folder, data, side, measured)
            keep_findings(folder, path, side, measured, findings)
        except Exception as error:  # noqa: BLE001 - a full disk, say; the model is published
            _log.warning("what was found out of %s could not be kept: %r", path, error)
    return Exported(path, side or "nothing", measured.metrics, measured.unreadable, record.problem)


def question_of(record: RunRecord) -> Question:
    """Return what a run's model answers."""
    return Question(record.problem, record.class_names, record.training_values)


def rehearse_export(folder: Path) -> None:
    """Go through an export of the weights so far and answer one picture, leaving nothing behind.

    Raises:
        ExportError: whatever would make the export at the end of training fail.
    """
    record = read_record(folder)
    aside = Path(tempfile.mkdtemp(prefix=".rehearsal-", dir=folder))
    try:
        _write_model(rebuild_network(folder / WEIGHTS, record), record, aside, Caution())
        served = load_served_model(aside)
        answer = served.predict([_grey_png()])
        numbers = [values for values in answer.values() if values.dtype.kind == "f"]
        if not all(len(values) == 1 for values in answer.values()) or not all(
            np.isfinite(values).all() for values in numbers
        ):
            raise ExportError("the rehearsed SavedModel answers nonsense")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def measured_side(data: PreparedData) -> Side | None:
    """Return the side that a model is measured on: test, or else validation, where there is one."""
    sides: tuple[Side, ...] = ("test", "val")
    return next((side for side in sides if len(data.places(side))), None)


def rebuild_network(weights: Path, record: RunRecord) -> keras.Model:
    """Return a run's network, RGB of 0 to 255 -> logits or values, and features.

    Raises:
        ExportError: no weights yet, or damaged ones.
    """
    if not weights.is_file():
        raise ExportError(
            f"{weights.parent} has no weights: the run was stopped before its first epoch"
        )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        classifier = build_classifier(
            find_backbone(record.backbone),
            n_classes=len(record.class_names),
            image_size=record.image_size,
            weights=None,
            dropout=0.0,
            problem=record.problem,
            taps=record.taps,
            hidden=record.config.model.hidden,
        )
        try:
            classifier.model.load_weights(weights)
        except (OSError, ValueError, KeyError) as error:
            raise ExportError(
                f"{weights} is damaged or belongs to another network: {error}. To train them "
                f"again, or further: tl finetune --resume {weights.parent}"
            ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    model = classifier.model
    return keras.Model(model.input, [model.output, classifier.backbone.output])


def _write_model(network: keras.Model, record: RunRecord, version: Path, caution: Caution) -> None:
    write_saved_model(
        network,
        version,
        class_names=record.class_names,
        image_size=record.image_size,
        problem=record.problem,
        caution=caution,
    )
    write_warmup_requests(version, record.name)


def _write_manifest(
    folder: Path,
    record: RunRecord,
    version: Path,
    side: Side | None,
    metrics: dict[str, Any],
    caution: Caution,
    parity: dict[str, Any] | None,
) -> None:
    facts = {
        "format": 1,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "measured_on": side or "nothing",
        "metrics": metrics,
        "caution": caution.facts,
        "parity": parity,
        **dataclasses.asdict(record),
    }
    extra = version / "assets.extra"
    (extra / "tl.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.copyfile(folder / SPLIT, extra / SPLIT)


def _grey_png() -> bytes:
    return encode_png(np.full((32, 48), 128, np.uint8))
