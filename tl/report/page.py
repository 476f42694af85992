"""The report of a run: one file, no script, nothing fetched, light and dark, on a phone and paper.

Receives plain values and a function that shows a picture; gives HTML.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tl.evaluation.predictions import Predictions
from tl.report.charts import bar_chart, line_chart, scatter_chart
from tl.report.curves import PAIRS, Curves

PICTURES = 600
"""In all: at 3 KB each, 2.4 MB as text."""
CELL_PICTURES = 6
LISTED = 24
MOST_CLASSES = 25
"""Of a confusion matrix that is drawn whole; of more those that are mistaken most."""
CURVE_CLASSES = 6
SUSPECTS_SHOWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What a report is made from.

    Attributes:
        title: of the page.
        asked: rows of what was asked of the run.
        record: ``run.json``.
        evaluation: ``evaluation.json``; empty where nothing could be measured.
        predictions: what the model said of the test pictures, or None.
        curves: of training.
        decision: why the strategy was chosen, in words; empty where it was given.
        suspects: rows of ``suspects.csv``.
        samples: by class, keys of some training pictures.
        augmented: address of a sheet of augmented views, or None.
        show: address of a picture's thumbnail by its key, or None.
        reproduce: the command that makes such a run again.
        served: path of the SavedModel, or None.
    """

    title: str
    asked: Mapping[str, str]
    record: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    predictions: Predictions | None
    curves: Curves
    decision: Sequence[str] = ()
    suspects: Sequence[Any] = ()
    samples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    augmented: str | None = None
    show: Callable[[str], str | None] = lambda key: None
    reproduce: str = ""
    served: Path | None = None


class Album:
    """Shows pictures while there is room for more, each once: later it is pointed to."""

    def __init__(self, show: Callable[[str], str | None], most: int = PICTURES) -> None:
        self._show, self._left = show, most
        self._shown: dict[str, str | None] = {}

    def __call__(self, key: str) -> str | None:
        """Return the address of a thumbnail, or None where it cannot be read or room is short."""
        if key not in self._shown:
            if not self._left:
                return None
            self._left -= 1
            self._shown[key] = self._show(key)
        return self._shown[key]


def report_page(facts: ReportFacts) -> str:
    """Return the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = shown_figure
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    album = Album(facts.show)
    predictions = facts.predictions
    mistakes = worst_pictures(predictions) if predictions is not None else {}
    return environment.get_template("report.html.jinja").render(
        facts=facts,
        evaluation=facts.evaluation,
        metrics=facts.evaluation.get("metrics", {}),
        headline=_headline_rows(facts),
        confusion=confusion_table(predictions) if predictions is not None else None,
        mistakes=mistakes,
        charts=_charts(facts),
        suspects=list(facts.suspects[:SUSPECTS_SHOWN]),
        image=album,
    )


def shown_figure(value: Any) -> str:
    """Return a number as people read it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


_WORDS = {
    "top_1_accuracy": "accuracy (top 1)",
    "top_5_accuracy": "accuracy (top 5)",
    "macro_f1": "F1, mean over the classes",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "roc_auc": "area under ROC, mean over the classes",
    "average_precision": "average precision, mean over the classes",
    "mean_average_precision": "mean average precision",
    "micro_f1": "F1, all answers together",
    "exact_match": "all labels of a picture right",
    "hamming_loss": "wrong answers",
    "mae": "mean absolute error",
    "rmse": "root of the mean squared error",
    "r2": "share of the variance explained",
}


def _headline_rows(facts: ReportFacts) -> list[tuple[str, float, Sequence[float] | None]]:
    metrics = facts.evaluation.get("metrics", {})
    return [
        (words, metrics[name], metrics.get(f"{name}_interval"))
        for name, words in _WORDS.items()
        if name in metrics
    ]


def worst_pictures(predictions: Predictions) -> dict[str, list[dict[str, Any]]]:
    """Return the most confident mistakes, and the pictures whose truth is least believed."""
    names = predictions.class_names
    rows = np.arange(len(predictions))
    if predictions.problem == "regression":
        errors = np.abs(predictions.answers[:, 0] - predictions.truth[:, 0])
        order = np.argsort(-errors, kind="stable")[:LISTED]
        return {
            "largest errors": [
                {
                    "key": predictions.keys[place],
                    "words": f"{predictions.answers[place, 0]:.4g}, truly "
                    f"{predictions.truth[place, 0]:.4g}",
                }
                for place in order.tolist()
            ]
        }
    if predictions.problem == "multi_label":
        chosen = np.where(predictions.truth > 0.5, predictions.answers, 1 - predictions.answers)
        order = np.argsort(chosen.min(axis=1), kind="stable")[:LISTED]
        wrong = chosen.argmin(axis=1)
        return {
            "hardest pictures": [
                {
                    "key": predictions.keys[place],
                    "words": f"{names[wrong[place]]} "
                    f"{predictions.answers[place, wrong[place]]:.2f}, truly "
                    f"{'yes' if predictions.truth[place, wrong[place]] > 0.5 else 'no'}",
                }
                for place in order.tolist()
            ]
        }
    confidence = predictions.confidence
    believed = predictions.answers[rows, predictions.truth]
    wrong_places = np.flatnonzero(~predictions.right)
    confident = wrong_places[np.argsort(-confidence[wrong_places], kind="stable")][:LISTED]
    hardest = np.argsort(believed, kind="stable")[:LISTED]

    def listed(places: Any) -> list[dict[str, Any]]:
        return [
            {
                "key": predictions.keys[place],
                "words": f"{names[predictions.predicted[place]]} {confidence[place]:.2f}, truly "
                f"{names[predictions.truth[place]]} ({believed[place]:.2f})",
            }
            for place in places.tolist()
        ]

    return {"most confident mistakes": listed(confident), "hardest pictures": listed(hardest)}


def confusion_table(predictions: Predictions) -> dict[str, Any] | None:
    """Return the rows of a confusion matrix, and the pictures behind each cell off its diagonal.

    Of many classes those are taken that are mistaken most.
    """
    if predictions.problem != "single_label":
        return None
    names, truth, predicted = predictions.class_names, predictions.truth, predictions.predicted
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (truth, predicted), 1)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    kept = np.arange(len(names))
    if len(names) > MOST_CLASSES:
        kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    rows = []
    behind: list[dict[str, Any]] = []
    for row in kept.tolist():
        total = max(1, int(counts[row].sum()))
        cells = []
        for column in kept.tolist():
            count = int(counts[row, column])
            name = f"c-{row}-{column}" if count else ""
            cells.append({"count": count, "share": count / total, "name": name,
                          "is_right": row == column})  # fmt: skip
            if count:
                places = np.flatnonzero((truth == row) & (predicted == column))
                order = places[np.argsort(-predictions.confidence[places], kind="stable")]
                behind.append(
                    {
                        "name": name,
                        "true": names[row],
                        "predicted": names[column],
                        "count": count,
                        "is_right": row == column,
                        "keys": [predictions.keys[place] for place in order[:CELL_PICTURES]],
                    }
                )
        rows.append({"name": names[row], "cells": cells})
    # Mistakes get their pictures first; there may not be room for all.
    behind.sort(key=lambda cell: (cell["is_right"], -cell["count"]))
    return {
        "names": [names[label] for label in kept.tolist()],
        "rows": rows,
        "behind": behind,
        "left_out": len(names) - len(kept),
    }


def _charts(facts: ReportFacts) -> dict[str, Any]:
    found, charts = facts.evaluation, dict[str, Any]()
    counts = facts.record.get("class_counts", {})
    names = list(facts.record.get("class_names", ()))[:60]
    if counts and facts.record.get("problem") != "regression":
        charts["counts"] = bar_chart(
            {name: {side: counts[side].get(name, 0) for side in counts} for name in names},
            y="pictures",
        )
    charts["curves"] = [
        (phase, [
            line_chart({key: figures[key] for key in pair if key in figures}, x="step", y=pair[0])
            for pair in PAIRS
            if pair[0] in figures
        ])
        for phase, figures in facts.curves.items()
    ]  # fmt: skip
    if bins := found.get("reliability"):
        points = [(one["confidence"], one["accuracy"]) for one in bins]
        charts["reliability"] = line_chart(
            {"": points}, x="what it says", y="how often it is right", diagonal=True, dots=True,
            limits=(-0.02, 1.02),
        )  # fmt: skip
    if curve := found.get("abstention", {}).get("coverage_accuracy"):
        charts["coverage"] = line_chart(
            {"": curve}, x="share of the pictures answered", y="accuracy of the answers"
        )
    if curves := found.get("curves"):
        worst = sorted(curves, key=lambda name: curves[name]["roc_auc"])[:CURVE_CLASSES]
        charts["roc"] = line_chart(
            {f"{name} {curves[name]['roc_auc']:.3f}": curves[name]["roc"] for name in worst},
            x="false positive rate", y="true positive rate", title="ROC", diagonal=True,
        )  # fmt: skip
        charts["precision_recall"] = line_chart(
            {
                f"{name} {curves[name]['average_precision']:.3f}": curves[name]["precision_recall"]
                for name in worst
            },
            x="recall", y="precision", title="Precision and recall",
        )  # fmt: skip
    if robust := found.get("robustness"):
        clean = robust["clean"]
        lines, bands = {}, {}
        for kind, rows in robust["kinds"].items():
            lines[kind] = [(0, clean["value"]), *((row["severity"], row["value"]) for row in rows)]
            if clean["interval"] and all(row["interval"] for row in rows):
                bands[kind] = [clean["interval"], *(row["interval"] for row in rows)]
        charts["robustness"] = line_chart(
            lines, x="severity", y=robust["figure"], dots=True, size=(5.6, 3.4)
        )
    one = facts.predictions
    if one is not None and one.problem == "regression":
        places = np.linspace(0, len(one) - 1, min(2000, len(one))).astype(int)
        charts["scatter"] = scatter_chart(
            np.stack([one.truth[places, 0], one.answers[places, 0]], axis=1).tolist(),
            x="true value", y="said",
        )  # fmt: skip
    return charts
