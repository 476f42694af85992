"""Write the report and the model card of a run.

tl report RUN
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import UndefinedError

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
from tl.report.shown import shown_name
from tl.report.strategy_table import StrategyTable, strategy_table
from tl.run_folder import SPLIT, read_record
from tl.words import storable
from tl.written_aside import written_aside

REPORT = "report.html"
CARD = "model_card.md"
THUMBNAIL = 108
SAMPLES = 6
SAMPLED_CLASSES = 12
SHEET_WIDTH = 1000
NAMED = 40
"""Classes, of those asked for."""


def write_report(folder: Path, data: PreparedData) -> Path:
    """Write ``report.html`` and ``model_card.md`` into a run's folder, from what lies there.

    Args:
        folder: of the run.
        data: its pictures, for thumbnails.

    Returns:
        The page.

    Raises:
        ConfigError: something there is damaged.
    """
    record = read_record(folder)
    stored: dict[str, Any] = json.loads((folder / "run.json").read_text())
    evaluation = _evaluation(folder, record.outcome)
    predictions = None
    if (folder / PREDICTIONS).is_file():
        predictions = read_predictions(folder / PREDICTIONS)
    examples = data.pictures.examples
    places = {storable(str(key)): place for place, key in enumerate(examples.keys)}
    most_pixels = round(record.config.data.max_megapixels * 1e6)

    def show(key: str) -> str | None:
        place = places.get(key)
        return None if place is None else thumbnail(examples[place], most_pixels, THUMBNAIL)

    saved = evaluation.get("saved_model")
    reproduce = reproduce_command(stored, folder / SPLIT)
    facts = ReportFacts(
        asked=_asked(stored, data),
        record=stored,
        evaluation=evaluation,
        predictions=predictions,
        curves=read_curves(folder / JOURNAL),
        strategy=_strategy(folder),
        suspects=read_suspects(folder / SUSPECTS),
        samples=_samples(data.side("train")),
        augmented=_sheet(folder / "augmentation.png"),
        show=show,
        reproduce=reproduce,
        exclude=f"{reproduce} --exclude {shlex.quote(str((folder / SUSPECTS).resolve()))}",
        served=Path(saved) if saved else None,
    )
    try:
        page, card = report_page(facts), model_card(stored, evaluation, reproduce)
    except (KeyError, TypeError, AttributeError, ValueError, UndefinedError) as error:
        raise ConfigError(
            f"{folder / EVALUATION}, or another file of the run, is damaged or of another tl: "
            f"{error!r}; `tl export {record.id}` measures again"
        ) from error
    with written_aside(folder / REPORT) as aside:
        aside.write_text(page, encoding="utf-8")
    with written_aside(folder / CARD) as aside:
        aside.write_text(card, encoding="utf-8")
    return folder / REPORT


def _evaluation(folder: Path, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found out; of a run of an earlier tl, what its record says."""
    path = folder / EVALUATION
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = dict(outcome)
        if "headline" in found and found.get("interval"):
            found["metrics"] = {
                **found["metrics"], f"{found['headline']}_interval": found["interval"]
            }  # fmt: skip
    except (OSError, ValueError) as error:
        raise _damaged(path, folder, error) from error
    if not isinstance(found, dict):
        raise _damaged(path, folder, f"it holds a {type(found).__name__}")
    return found


def _damaged(path: Path, folder: Path, reason: object) -> ConfigError:
    return ConfigError(f"{path} is damaged: {reason}; `tl export {folder.name}` measures again")


_PROBLEMS = {
    "single_label": "one class a picture",
    "multi_label": "any number of classes a picture",
    "regression": "a number a picture",
}


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(shown_name(name) for name in names[:NAMED])
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,}: {shown}{more}" if len(names) > 1 else shown


def _asked(record: dict[str, Any], data: PreparedData) -> dict[str, str]:
    counts = data.side_counts()
    height, width = record["image_size"]
    training = record["config"]["training"]
    asked = {
        "dataset": record["config"]["dataset"],
        "pictures": f"{len(data.pictures.examples):,}: {counts['train']:,} to train, "
        f"{counts['val']:,} to validate, {counts['test']:,} to test",
        "problem": _PROBLEMS[record["problem"]],
        "answers": _named(record["class_names"]),
        "backbone": f"{record['backbone']} at {height} x {width}, {record['weights']['source']}",
        "strategy": training["strategy"],
        "seed": str(record["config"]["seed"]),
        "trained on": record["device"],
    }
    if data.excluded:
        asked["left out"] = (
            f"{len(data.excluded):,} pictures (--exclude), also where they would be test pictures"
        )
    return asked


def _strategy(folder: Path) -> StrategyTable | None:
    try:
        return strategy_table(json.loads((folder / "decision.json").read_text()))
    except (OSError, ValueError):
        return None


def _samples(training: Dataset) -> dict[str, list[str]]:
    if training.values is not None:
        places = np.argsort(training.values, kind="stable")
        some = places[np.linspace(0, len(places) - 1, min(8, len(places))).astype(int)]
        return {
            "from the lowest value to the highest": [
                storable(str(training.keys[one])) for one in some
            ]
        }
    found = {}
    for label, name in enumerate(training.class_names[:SAMPLED_CLASSES]):
        mine = np.flatnonzero(training.labels == label)[:SAMPLES]
        found[name] = [storable(str(training.keys[place])) for place in mine.tolist()]
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
