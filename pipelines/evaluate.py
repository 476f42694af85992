"""Measure an exported model on labelled pictures, and say which of them.

tl evaluate models/flowers --dataset flower_photos
"""

import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.assess import assess, measure_speed
from pipelines.caution import views_outside
from pipelines.keep_findings import cuts_of
from pipelines.measured import Measured, measure, measured_answers
from tl.augment.tta import TestTime, views_of
from tl.config import DataConfig, EvaluationConfig
from tl.config_reading import config_from_json
from tl.data.answers import with_classes
from tl.data.decode import NO_LIMIT, decode_picture
from tl.data.example import Example, Side
from tl.data.inspect import cache_folder
from tl.data.prepare import ReadablePictures, read_pictures
from tl.data.resize import centre_view
from tl.data.split import read_split
from tl.errors import ConfigError, DatasetError
from tl.evaluation.measures import Question
from tl.evaluation.predictions import Predictions
from tl.evaluation.served import ServedModel, load_served_model
from tl.export.versions import list_versions
from tl.manifest import read_manifest
from tl.problem import Problem
from tl.run_folder import SPLIT

ALL_DEFAULTS = DataConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures of a version on a dataset.

    Attributes:
        version: folder of the SavedModel.
        measured_on: which pictures, in words.
        metrics: as `tl.evaluation.measures` gives them.
        tta: which views of a picture the scores are averaged over.
        seconds: of reading, decoding and answering the pictures.
        problem: what the model answers.
        findings: of `pipelines.assess`, where they were asked for.
        unreadable: key and reason of the pictures that were left out.
        predictions: what the model said of each picture.
    """

    version: Path
    measured_on: str
    metrics: dict[str, Any]
    unreadable: tuple[tuple[str, str], ...]
    predictions: Predictions | None = field(default=None, repr=False)
    tta: TestTime = "none"
    seconds: float = 0.0
    problem: Problem = "single_label"
    findings: dict[str, Any] = field(default_factory=dict, repr=False)


def find_version(model: Path) -> Path:
    """Return a version's folder: the one given, or a model's newest.

    Raises:
        ConfigError: no SavedModel there.
    """
    if (model / "saved_model.pb").is_file():
        return model
    versions = list_versions(model)
    if versions:
        return model / str(versions[-1])
    if not model.is_dir():
        raise ConfigError(f"no model at {model}: no such folder")
    inner = [path.name for path in model.iterdir() if list_versions(path)]
    hint = f"it holds the models {', '.join(sorted(inner))}; name one" if inner else (
        "it has no numbered version and no saved_model.pb")  # fmt: skip
    raise ConfigError(f"no model at {model}: {hint}")


def evaluate(
    model: Path,
    spec: str,
    *,
    allow_seen: bool = False,
    data: DataConfig = ALL_DEFAULTS,
    tta: TestTime = "none",
    closer: bool = False,
) -> Evaluation:
    """Measure a model on a dataset.

    Taken are the test pictures of the stored split where the dataset is the one the model was
    trained on, else its test/ folder, else all of it.

    Args:
        model: a model's folder or one version's.
        spec: folder of labelled pictures or built-in name.
        allow_seen: also measure on pictures that the model was trained or chosen with.
        data: how the dataset is read: columns and root of a table, limits.
        tta: average over views: ``ten-crop``, or ``multi-scale`` for ten crops at five scales.
        closer: look at the model from all sides, as at the end of a run.

    Raises:
        DatasetError: pictures the model has seen, or classes that it does not know.
    """
    version = find_version(model)
    served_manifest = _manifest(version)
    split = read_split(version / "assets.extra" / SPLIT)
    # Told apart as they were in training, or none would be known again.
    identity: Literal["content", "key"] = "content" if all(map(_is_hash, split)) else "key"
    question = _question(served_manifest)
    if data.problem not in ("auto", question.problem):
        raise ConfigError(
            f"data.problem = {data.problem!r}, but {version} answers {question.problem}; leave it "
            "out"
        )
    config = dataclasses.replace(data, identity=identity, problem=question.problem)
    pictures = read_pictures(spec, config, cache=cache_folder())
    its_classes = with_classes(pictures.examples, question.class_names)
    pictures = dataclasses.replace(pictures, examples=its_classes)
    chosen, measured_on = _choose(pictures, served_manifest["fingerprint"], split)
    _refuse_seen(chosen, split, allow_seen, measured_on)
    examples = [one for one, _ in chosen]
    served = load_served_model(version)
    began = time.perf_counter()
    if tta == "none":
        measured = measure(served, examples, question)
    else:
        measured = _measure_averaged(served, examples, question, tta)
    seconds = time.perf_counter() - began
    left_out = measured.unreadable
    if not measured.metrics:
        key, why = left_out[0]
        raise DatasetError(f"none of the {len(left_out)} pictures can be read; {key}: {why}")
    return Evaluation(
        version=version,
        measured_on=measured_on,
        metrics=measured.metrics,
        unreadable=(*pictures.unreadable, *left_out),
        predictions=Predictions(
            problem=question.problem,
            class_names=question.class_names,
            side="test",
            keys=[one.key for one in measured.examples],
            identities=[str(chosen[place][1]) for place in measured.places.tolist()],
            truth=measured.truth,
            answers=measured.answers,
            extras=measured.extras,
        ),
        tta=tta,
        seconds=seconds,
        problem=question.problem,
        findings=_look_closer(served, measured, question, pictures, chosen) if closer else {},
    )


def _look_closer(
    served: ServedModel,
    measured: Measured,
    question: Question,
    pictures: ReadablePictures,
    chosen: Sequence[tuple[Example, str]],
) -> dict[str, Any]:
    """Do as at the end of a run, with the settings of that run."""
    places = {identity: place for place, identity in enumerate(pictures.identities.tolist())}
    rows = np.array([places[chosen[place][1]] for place in measured.places.tolist()], np.int64)
    stored = served.manifest.get("config", {})
    config = config_from_json(json.dumps(stored)) if stored else None
    evaluation = EvaluationConfig() if config is None else config.evaluation
    examples = pictures.examples.take(rows)
    return assess(
        served,
        measured,
        question,
        cuts=cuts_of(pictures, rows),
        outside=views_outside(
            evaluation.outside,
            served.image_size,
            examples,
            is_digits=stored.get("dataset") == "digits",
        ),
        robustness=evaluation.robustness,
        caution=served.manifest.get("caution", {}),
    ) | {"speed": measure_speed(served, measured)}


def _measure_averaged(
    served: ServedModel, examples: Sequence[Example], question: Question, tta: TestTime
) -> Measured:
    """Measure as `measure` does, on averages over views that are resized as evaluation does."""
    height, width = served.manifest["image_size"]
    unreadable: list[tuple[str, str]] = []

    def views(example: Example) -> Iterable[NDArray[np.uint8]]:
        try:
            image = decode_picture(example.read(), NO_LIMIT)
        except DatasetError as error:
            unreadable.append((example.key, str(error)))
            return ()
        return views_of(image, (height, width), tta, centre_view)

    answers = served.mean_answers(examples, views)
    return measured_answers(answers, examples, question, unreadable)


def _is_hash(identity: str) -> bool:
    return len(identity) == 64 and all(digit in "0123456789abcdef" for digit in identity)


def _manifest(version: Path) -> dict[str, Any]:
    facts = read_manifest(version)
    if not facts:
        raise ConfigError(f"{version} was not exported by tl: no readable tl.json")
    return facts


def _choose(
    pictures: ReadablePictures, fingerprint: str, split: dict[str, Side]
) -> tuple[list[tuple[Example, str]], str]:
    pairs = list(zip(pictures.examples, pictures.identities, strict=True))
    if pictures.fingerprint == fingerprint:
        stored = [(one, identity) for one, identity in pairs if split.get(identity) == "test"]
        if stored:
            return stored, f"the stored test split, {len(stored)} pictures"
    given = [(one, identity) for one, identity in pairs if one.side == "test"]
    if given:
        return given, f"the test/ folder, {len(given)} pictures"
    return pairs, f"all {len(pairs)} pictures"


def _refuse_seen(
    chosen: list[tuple[Example, str]], split: dict[str, Side], allow_seen: bool, measured_on: str
) -> None:
    seen = [one.key for one, identity in chosen if split.get(identity) in ("train", "val")]
    if seen and not allow_seen:
        raise DatasetError(
            f"the model was trained or chosen with {len(seen)} of {measured_on} (the first: "
            f"{seen[0]}); a figure on them says nothing of new pictures. Give other pictures, or "
            "pass --allow-seen"
        )


def _question(manifest: dict[str, Any]) -> Question:
    return Question(
        manifest.get("problem", "single_label"),  # of versions before there were others
        tuple(manifest["class_names"]),
        manifest.get("training_values", {}),
    )
