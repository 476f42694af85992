"""Write the report and the model card of a run.

tl report RUN
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.exported import EVALUATION, SUSPECTS
from pipelines.lineage import reproduce_command
from pipelines.suspects import read_suspects
from tl.data.example import Dataset
from tl.data.prepare import PreparedData
from tl.data.thumbnail import data_address, thumbnail
from tl.errors import ConfigError
from tl.evaluation.predictions import PREDICTIONS, read_predictions
from tl.mlflow_sender import JOURNAL
from tl.report.curves import read_curves
from tl.report.model_card import model_card
from tl.report.page import ReportFacts, report_page
from tl.run_folder import read_record
from tl.written_aside import written_aside

REPORT = "report.html"
CARD = "model_card.md"
THUMBNAIL = 108
SAMPLES = 6
SAMPLED_CLASSES = 12
SHEET_WIDTH = 1000


def write_report(folder: Path, data: PreparedData) -> Path:
    """Write ``report.html`` and ``model_card.md`` into a run's folder, from what lies there.

    Args:
        folder: of the run.
        data: its pictures, for thumbnails.

    Returns:
        The page.
    """
    record = read_record(folder)
    stored: dict[str, Any] = json.loads((folder / "run.json").read_text())
    evaluation = _evaluation(folder)
    predictions = None
    if (folder / PREDICTIONS).is_file():
        predictions = read_predictions(folder / PREDICTIONS)
    examples = data.pictures.examples
    places = {str(key): place for place, key in enumerate(examples.keys)}
    most_pixels = round(record.config.data.max_megapixels * 1e6)

    def show(key: str) -> str | None:
        place = places.get(key)
        return None if place is None else thumbnail(examples[place], most_pixels, THUMBNAIL)

    saved = evaluation.get("saved_model")
    reproduce = reproduce_command(stored["config"], record.id)
    facts = ReportFacts(
        title=f"{record.name}: {record.id}",
        asked=_asked(stored, data),
        record=stored,
        evaluation=evaluation,
        predictions=predictions,
        curves=read_curves(folder / JOURNAL),
        decision=_decision(folder),
        suspects=read_suspects(folder / SUSPECTS),
        samples=_samples(data.side("train")),
        augmented=_sheet(folder / "augmentation.png"),
        show=show,
        reproduce=reproduce,
        served=Path(saved) if saved else None,
    )
    with written_aside(folder / REPORT) as aside:
        aside.write_text(report_page(facts), encoding="utf-8")
    with written_aside(folder / CARD) as aside:
        aside.write_text(model_card(stored, evaluation, reproduce), encoding="utf-8")
    return folder / REPORT


def _evaluation(folder: Path) -> dict[str, Any]:
    path = folder / EVALUATION
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}; tl export writes it again") from error
    return found


def _asked(record: dict[str, Any], data: PreparedData) -> dict[str, str]:
    counts = data.side_counts()
    height, width = record["image_size"]
    training = record["config"]["training"]
    asked = {
        "model": record["name"],
        "dataset": f"{record['config']['dataset']}: {len(data.pictures.examples):,} pictures",
        "sides": f"{counts['train']:,} training, {counts['val']:,} validation, {counts['test']:,} "
        "test",
        "problem": record["problem"].replace("_", " "),
        "classes": ", ".join(record["class_names"][:40]),
        "backbone": f"{record['backbone']} at {height} x {width}, {record['weights']['source']}",
        "strategy": training["strategy"],
        "seed": str(record["config"]["seed"]),
        "trained on": record["device"],
    }
    if data.excluded:
        asked["left out"] = f"{len(data.excluded):,} pictures (--exclude)"
    return asked


def _decision(folder: Path) -> Sequence[str]:
    try:
        lines: list[str] = json.loads((folder / "decision.json").read_text()).get("in_words", [])
    except (OSError, ValueError):
        return ()
    return [line.removeprefix("strategy  ").removeprefix("          ") for line in lines]


def _samples(training: Dataset) -> dict[str, list[str]]:
    if training.values is not None:
        places = np.argsort(training.values, kind="stable")
        some = places[np.linspace(0, len(places) - 1, min(8, len(places))).astype(int)]
        return {"from the lowest value to the highest": [str(training.keys[one]) for one in some]}
    found = {}
    for label, name in enumerate(training.class_names[:SAMPLED_CLASSES]):
        mine = np.flatnonzero(training.labels == label)[:SAMPLES]
        found[name] = [str(training.keys[place]) for place in mine.tolist()]
    return found


def _sheet(path: Path) -> str | None:
    """Return the sheet of augmented views, small enough for the page."""
    sheet = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if sheet is None:
        return None
    height, width = sheet.shape[:2]
    scale = min(1.0, SHEET_WIDTH / width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(np.asarray(sheet), shape, interpolation=cv2.INTER_AREA)
    return data_address(small[:, :, ::-1], quality=70)
