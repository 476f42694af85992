"""From a run's folder to a published version: rebuild, save, measure the saved artefact, publish.

    tl export RUN

The network is built again from the run's record in float32, whatever it trained in, so that an
export right after training and one a month later are the same thing.
"""

import dataclasses
import datetime
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipelines.exported import Exported, Unreadable
from tl.classifier import build_classifier
from tl.data.contents import encode_png
from tl.data.decode import servable_bytes
from tl.data.example import Example, Side, stack_targets
from tl.data.prepare import PreparedData
from tl.errors import DatasetError, ExportError
from tl.evaluation.measures import MEASURES, Question
from tl.evaluation.served import ServedModel, load_served_model
from tl.export.saved_model import write_saved_model
from tl.export.versions import publish_version
from tl.export.warmup import write_warmup_requests
from tl.run_folder import SPLIT, WEIGHTS, RunRecord, read_record
from tl.zoo.backbones import find_backbone


def export_run(folder: Path, data: PreparedData) -> Exported:
    """Publish the next version of a run's model.

    Args:
        folder: of the run; its record, weights and split are read.
        data: the run's pictures, to measure the artefact on.

    Raises:
        ExportError: no weights yet, not writable, or the disk is full.
    """
    record = read_record(folder)
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
    measured: dict[str, Any] = {}
    unreadable: list[tuple[str, str]] = []
    side, examples = _measured_side(data)

    def write(version: Path) -> None:
        _write_model(folder / WEIGHTS, record, version)
        served = load_served_model(version)
        if examples:
            metrics, left_out = measure(served, examples, question_of(record))
            measured.update(metrics)
            unreadable.extend(left_out)
        _write_manifest(folder, record, version, side, measured)

    path = publish_version(Path(record.config.output) / record.name, write)
    return Exported(path, side, measured, tuple(unreadable), record.problem)


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
        _write_model(folder / WEIGHTS, record, aside)
        served = load_served_model(aside)
        answer = served.predict([_grey_png()])
        numbers = [values for values in answer.values() if values.dtype.kind == "f"]
        if not all(len(values) == 1 for values in answer.values()) or not all(
            np.isfinite(values).all() for values in numbers
        ):
            raise ExportError("the rehearsed SavedModel answers nonsense")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def measure(
    served: ServedModel, examples: Sequence[Example], question: Question
) -> tuple[dict[str, Any], Unreadable]:
    """Measure a SavedModel on encoded pictures.

    Returns:
        The metrics, empty where no picture can be read; key and reason of those that cannot be,
        which may have been damaged or deleted since the run began.
    """
    kept: list[Example] = []
    unreadable: list[tuple[str, str]] = []

    def files() -> Iterator[bytes]:
        for example in examples:
            try:
                data = servable_bytes(example.read())
            except DatasetError as error:
                unreadable.append((example.key, str(error)))
                continue
            kept.append(example)
            yield data

    answers = served.answers(files())
    return measured_metrics(answers, kept, question, unreadable)


def measured_metrics(
    answers: NDArray[np.float32],
    examples: Sequence[Example],
    question: Question,
    unreadable: Sequence[tuple[str, str]] = (),
) -> tuple[dict[str, Any], Unreadable]:
    """Return metrics of the rows that are numbers, and every picture that is not among them."""
    sound = np.flatnonzero(np.isfinite(answers).all(axis=1)).tolist()
    known = dict(unreadable)
    for place in set(range(len(examples))) - set(sound):
        known.setdefault(examples[place].key, "the exported model cannot decode it")
    if not sound:
        return {}, tuple(known.items())
    truth = stack_targets([examples[place].target for place in sound])
    metrics = MEASURES[question.problem].metrics(answers[sound], truth, question)
    return metrics, tuple(known.items())


def _measured_side(data: PreparedData) -> tuple[str, Sequence[Example]]:
    sides: tuple[Side, ...] = ("test", "val")
    for side in sides:
        examples = data.side(side)
        if examples:
            return side, examples
    return "nothing", []


def _write_model(weights: Path, record: RunRecord, version: Path) -> None:
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
    both = keras.Model(model.input, [model.output, classifier.backbone.output])
    write_saved_model(
        both,
        version,
        class_names=record.class_names,
        image_size=record.image_size,
        problem=record.problem,
    )
    write_warmup_requests(version, record.name)


def _write_manifest(
    folder: Path, record: RunRecord, version: Path, side: str, metrics: dict[str, Any]
) -> None:
    facts = {
        "format": 1,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "measured_on": side,
        "metrics": metrics,
        **dataclasses.asdict(record),
    }
    extra = version / "assets.extra"
    (extra / "tl.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.copyfile(folder / SPLIT, extra / SPLIT)


def _grey_png() -> bytes:
    return encode_png(np.full((32, 48), 128, np.uint8))
