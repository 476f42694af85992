"""Look at an exported model from all sides that a person who relies on it would ask about.

Beside its figures: is it as sure as it should be, when had it better say nothing, does it notice
what it does not know, what harms it, where is it worse than elsewhere, how fast is it here.
Everything is asked of the SavedModel; what comes of it are plain values, for ``evaluation.json``
and the report.
"""

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.measured import Measured
from tl.data.decode import NO_LIMIT, decode_picture
from tl.data.example import Example, stack_targets
from tl.data.resize import centre_view
from tl.errors import DatasetError
from tl.evaluation.abstention import coverage_curve, kept_at
from tl.evaluation.calibration import reliability
from tl.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupted_view
from tl.evaluation.curves import class_curves
from tl.evaluation.measures import MEASURES, Question
from tl.evaluation.score_interval import group_numbers
from tl.evaluation.served import BATCH, CORES, ServedModel
from tl.evaluation.slices import Slice, find_error_slices, find_slices
from tl.evaluation.strangeness import separation
from tl.map_ahead import map_ahead

Image = NDArray[np.uint8]
ONE_PICTURE_CALLS = 20


def assess(
    served: ServedModel,
    measured: Measured,
    question: Question,
    *,
    cuts: Mapping[str, Sequence[str]],
    outside: Mapping[str, Sequence[Image]],
    robustness: int,
    caution: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all findings, as plain values.

    Args:
        served: the exported model.
        measured: what it said of the pictures.
        question: what it answers.
        cuts: parts that the pictures belong to, as `tl.evaluation.slices` takes them.
        outside: views of pictures that belong to no class, by where they come from.
        robustness: pictures that are corrupted; 0 for none.
        caution: facts of what the model says beside its answers.
    """
    found: dict[str, Any] = {}
    if not measured.metrics:
        return found
    truth, answers = measured.truth, measured.answers
    if question.problem != "regression":
        found["curves"] = class_curves(answers, truth, question.class_names)
        found["outside"] = _outside(served, measured, outside)
    if question.problem == "single_label":
        right, confidence = answers.argmax(axis=1) == truth, answers.max(axis=1)
        found["reliability"] = _reliability(confidence, right)
        found["abstention"] = _abstention(measured, confidence, right, caution)
        found["slices"] = _plain(find_slices(right, cuts))
    elif question.problem == "multi_label":
        found["reliability"] = _reliability(answers.ravel(), truth.ravel() > 0.5)
        all_right = ((answers > 0.5) == (truth > 0.5)).all(axis=1)
        found["slices"] = _plain(find_slices(all_right, cuts))
    else:
        found["slices"] = _plain(find_error_slices(answers[:, 0] - truth[:, 0], cuts))
    if robustness:
        found["robustness"] = _robustness(served, measured.examples, question, robustness)
    return found


def _reliability(confidence: NDArray[Any], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    bins = reliability(confidence, right)
    return [
        {
            "from": float(bins.edges[place]),
            "to": float(bins.edges[place + 1]),
            "answers": int(bins.counts[place]),
            "confidence": float(bins.confidence[place]),
            "accuracy": float(bins.accuracy[place]),
        }
        for place in np.flatnonzero(bins.counts).tolist()
    ]


def _abstention(
    measured: Measured,
    confidence: NDArray[Any],
    right: NDArray[np.bool_],
    caution: Mapping[str, Any],
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "asked_error_rate": caution.get("asked_error_rate"),
        "abstain_below": caution.get("abstain_below"),
        "coverage_accuracy": coverage_curve(confidence, right),
    }
    if "abstain" in measured.extras:  # what the graph says, not what the threshold would
        kept = kept_at((~measured.extras["abstain"]).astype(float), right, 1.0)
        facts["achieved_error_rate"] = kept.error_rate
        facts["coverage"] = kept.coverage
        facts["n_answered"] = kept.n_answered
    return facts


def _outside(
    served: ServedModel, measured: Measured, outside: Mapping[str, Sequence[Image]]
) -> dict[str, dict[str, Any]]:
    """Return how well the model's outputs tell other pictures from those it was measured on."""
    found: dict[str, dict[str, Any]] = {}
    for name, views in outside.items():
        if not views:
            continue
        said = _judge(served, views)
        facts: dict[str, Any] = {
            "n_pictures": len(views),
            "largest_probability_auroc": separation(
                -measured.answers.max(axis=1), -said["answers"].max(axis=1)
            ),
        }
        if "ood_score" in measured.extras:
            known = measured.extras["ood_score"]
            facts["ood_score_auroc"] = separation(known, said["ood_score"])
            facts["share_above_1"] = float((said["ood_score"] > 1).mean())
            facts["share_of_known_above_1"] = float((known > 1).mean())
        found[name] = facts
    return found


def _plain(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    return [{**dataclasses.asdict(one), "is_worse": one.is_worse} for one in slices]


def _robustness(
    served: ServedModel, examples: Sequence[Example], question: Question, most: int
) -> dict[str, Any]:
    """Measure on corrupted pictures: for each picture the clean view and all corrupted ones."""
    kinds = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    places = np.linspace(0, len(examples) - 1, min(most, len(examples))).astype(int).tolist()
    size = served.image_size

    def answers_of(place: int) -> NDArray[np.float32] | None:
        try:
            image = decode_picture(examples[place].read(), NO_LIMIT)
        except DatasetError:
            return None
        views = [centre_view(image, size)]
        for number, (name, severity) in enumerate(kinds):
            view = corrupted_view(
                image, name, severity, lambda one: centre_view(one, size), [place, number]
            )
            views.append(view)
        said: NDArray[np.float32] = served.judge_views(np.stack(views))["answers"]
        return said

    said = map_ahead(answers_of, places, threads=CORES, ahead=CORES)
    readable = {place: one for place, one in zip(places, said, strict=True) if one is not None}
    if not readable:
        return {}
    answers = np.stack(list(readable.values()))  # (pictures, kinds + 1, width)
    truth = stack_targets([examples[place].target for place in readable])
    groups = group_numbers([examples[place].group for place in readable])
    measure = MEASURES[question.problem]

    def figure(column: int) -> dict[str, Any]:
        metrics = measure.metrics(answers[:, column], truth, question, groups)
        return {
            "value": metrics[measure.headline],
            "interval": metrics.get(f"{measure.headline}_interval"),
        }

    return {
        "figure": measure.headline,
        "n_pictures": len(readable),
        "clean": figure(0),
        "kinds": {
            name: [
                figure(1 + kinds.index((name, severity))) | {"severity": severity}
                for severity in SEVERITIES
            ]
            for name in CORRUPTIONS
        },
    }


def measure_speed(served: ServedModel, measured: Measured) -> dict[str, Any]:
    """Measure the artefact as it is: one picture at a time, and many; and its size."""
    facts: dict[str, Any] = {
        "megabytes": round(_megabytes(served.path), 2),
        "cores": os.cpu_count() or 1,
    }
    files = []
    for example in measured.examples[:BATCH]:
        try:
            files.append(example.read())
        except DatasetError:
            continue
    if not files:
        return facts
    times = []
    for number in range(ONE_PICTURE_CALLS + 2):
        began = time.perf_counter()
        served.predict([files[number % len(files)]])
        times.append(time.perf_counter() - began)
    facts["one_picture_ms"] = round(1000 * float(np.median(times[2:])), 2)
    many = (files * (1 + 4 * BATCH // len(files)))[: 4 * BATCH]
    began = time.perf_counter()
    served.answers(many)
    facts["pictures_per_second"] = round(len(many) / (time.perf_counter() - began), 1)
    return facts


def _judge(served: ServedModel, views: Sequence[Image]) -> dict[str, NDArray[Any]]:
    parts = [
        served.judge_views(np.stack(views[at : at + BATCH])) for at in range(0, len(views), BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _megabytes(folder: Path) -> float:
    files: Iterable[Path] = folder.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6
