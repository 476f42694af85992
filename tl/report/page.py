"""The report of a run: one file, no script, nothing fetched, light and dark, on a phone and paper.

Receives plain values and a function that shows a picture; gives HTML.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tl.evaluation.predictions import Predictions
from tl.report.album import Album, Shown, worst_pictures
from tl.report.charts import line_chart, scatter_chart
from tl.report.confusion import confusion_matrix
from tl.report.curves import FIGURES, Curves
from tl.report.shown import (
    shown_figure,
    shown_interval,
    shown_name,
    shown_percent,
)
from tl.report.strategy_table import StrategyTable
from tl.report.templates import templates
from tl.words import counted

CURVE_CLASSES = 6
SUSPECTS_SHOWN = 24
ROWS = 25
"""Of a table of classes that is longer; the others open."""
SCATTERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What a report is made from.

    Attributes:
        asked: rows of what was asked of the run.
        record: ``run.json``.
        evaluation: ``evaluation.json``; empty where nothing could be measured.
        predictions: what the model said of the test pictures, or None.
        curves: of training.
        strategy: why it was chosen; None where it was given.
        suspects: rows of ``suspects.csv``.
        samples: by class, keys of some training pictures.
        augmented: address of a sheet of augmented views, or None.
        show: address of a picture's thumbnail by its key, or None.
        reproduce: the command that makes such a run again.
        exclude: the command that makes it without the suspects.
        served: path of the SavedModel, or None.
    """

    asked: Mapping[str, str]
    record: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    predictions: Predictions | None
    curves: Curves
    strategy: StrategyTable | None = None
    suspects: Sequence[Any] = ()
    samples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    augmented: str | None = None
    show: Callable[[str], str | None] = lambda key: None
    reproduce: str = ""
    exclude: str = ""
    served: Path | None = None


def report_page(facts: ReportFacts) -> str:
    """Return the page."""
    environment = templates(html=True)
    environment.filters.update(
        figure=shown_figure, percent=shown_percent, interval=shown_interval, name=shown_name,
        shell=shlex.quote, counted=counted,
    )  # fmt: skip
    # Who asks first gets pictures: what can be shown of the confusion matrix comes last.
    album = Album(facts.show)
    predictions, metrics = facts.predictions, facts.evaluation.get("metrics", {})
    mistakes = worst_pictures(predictions, album) if predictions is not None else {}
    suspects = [_suspect(row, album) for row in facts.suspects[:SUSPECTS_SHOWN]]
    samples = {name: album.pictures(keys) for name, keys in facts.samples.items()}
    confusion = None
    if predictions is not None and predictions.problem == "single_label":
        confusion = confusion_matrix(predictions, album)
    rendered: str = environment.get_template("report.html.jinja").render(
        facts=facts,
        evaluation=facts.evaluation,
        caution=facts.evaluation.get("caution", {}),
        metrics=metrics,
        headline=_headline(metrics),
        against=facts.record.get("outcome", {}).get("against_best"),
        counts=_class_counts(facts.record),
        per_class=_per_class(metrics),
        rows_shown=ROWS,
        samples={name: shown for name, shown in samples.items() if shown},
        confusion=confusion,
        mistakes=mistakes,
        charts=_charts(facts),
        suspects=suspects,
    )
    return rendered


def _suspect(row: Any, album: Album) -> Shown:
    side = {"train": "training", "val": "validation"}.get(row.side, row.side)
    said = (f"labelled {row.given}", f"looks like {row.proposed}", f"{side} picture")
    return album.picture(row.key, said)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure.

    Attributes:
        words: what it is.
        value: of it.
        interval: of 95 %, or None.
        is_share: whether people read it in percent.
        best: value of a perfect model.
    """

    words: str
    value: float
    interval: Sequence[float] | None
    is_share: bool
    best: str


_FIGURES = {
    "top_1_accuracy": ("accuracy (top 1)", "1"),
    "top_5_accuracy": ("accuracy (top 5)", "1"),
    "mean_average_precision": ("mean average precision", "1"),
    "macro_f1": ("F1, mean over the classes", "1"),
    "micro_f1": ("F1, all answers together", "1"),
    "exact_match": ("all labels of a picture right", "1"),
    "hamming_loss": ("wrong answers", "0"),
    "roc_auc": ("area under the ROC curve, mean over the classes", "1"),
    "average_precision": ("average precision, mean over the classes", "1"),
    "log_loss": ("log loss", "0"),
    "brier_score": ("Brier score", "0"),
    "expected_calibration_error": ("expected calibration error", "0"),
    "mae": ("mean absolute error", "0"),
    "rmse": ("root of the mean squared error", "0"),
    "r2": ("share of the variance explained", "1"),
}
_SHARES = ("top_1_accuracy", "top_5_accuracy", "exact_match")


def _headline(metrics: Mapping[str, Any]) -> list[Figure]:
    return [
        Figure(words, metrics[name], metrics.get(f"{name}_interval"), name in _SHARES, best)
        for name, (words, best) in _FIGURES.items()
        if name in metrics
    ]


def _class_counts(record: Mapping[str, Any]) -> list[tuple[str, dict[str, int]]]:
    """Return the pictures of each class by side, the largest class first."""
    sides = record.get("class_counts", {})
    if record.get("problem") == "regression" or not sides:
        return []
    rows = [
        (name, {side: counts.get(name, 0) for side, counts in sides.items()})
        for name in record["class_names"]
    ]
    return sorted(rows, key=lambda row: -sum(row[1].values()))


def _per_class(metrics: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the figures of each class, the worst first."""
    rows: list[tuple[str, dict[str, Any]]] = list(metrics.get("per_class", {}).items())
    return sorted(rows, key=lambda row: row[1].get("f1") or 0)


def _charts(facts: ReportFacts) -> dict[str, Any]:
    found, charts = facts.evaluation, dict[str, Any]()
    charts["curves"] = [(phase, _curves(figures)) for phase, figures in facts.curves.items()]
    if bins := found.get("reliability"):
        points = [(one["confidence"], one["accuracy"]) for one in bins]
        charts["reliability"] = line_chart(
            {"": points}, x="probability that it gives", y="share that is right", diagonal=True,
            dots=True, limits=(-0.02, 1.02),
        )  # fmt: skip
    if curve := found.get("abstention", {}).get("coverage_accuracy"):
        charts["coverage"] = line_chart(
            {"": curve}, x="share of the pictures answered", y="accuracy of the answers"
        )
    if curves := found.get("curves"):
        worst = sorted(curves, key=lambda name: curves[name]["roc_auc"])[:CURVE_CLASSES]
        charts["roc"] = line_chart(
            {f"{shown_name(name, 20)} {curves[name]['roc_auc']:.3f}": curves[name]["roc"]
             for name in worst},
            x="false positive rate", y="true positive rate", title="ROC", diagonal=True,
        )  # fmt: skip
        charts["precision_recall"] = line_chart(
            {
                f"{shown_name(name, 20)} {curves[name]['average_precision']:.3f}":
                curves[name]["precision_recall"]
                for name in worst
            },
            x="recall", y="precision", title="Precision and recall",
        )  # fmt: skip
    if robust := found.get("robustness"):
        charts["robustness"] = _robustness(robust)
    one = facts.predictions
    if one is not None and one.problem == "regression":
        places = np.linspace(0, len(one) - 1, min(SCATTERED, len(one))).astype(int)
        charts["scatter"] = scatter_chart(
            np.stack([one.truth[places, 0], one.answers[places, 0]], axis=1).tolist(),
            x=f"true {shown_name(one.class_names[0], 20)}", y="what it says",
        )  # fmt: skip
    return charts


def _curves(figures: Mapping[str, Sequence[tuple[float, float]]]) -> list[str]:
    drawn = []
    for name, words in FIGURES.items():
        sides = {"training": name, "validation": f"val_{name}"}
        lines = {side: figures[key] for side, key in sides.items() if key in figures}
        if lines:
            drawn.append(line_chart(lines, x="step", y=words))
    return drawn


def _robustness(robust: Mapping[str, Any]) -> str:
    start = (0, robust["clean"]["value"])
    lines = {
        kind: [start, *((row["severity"], row["value"]) for row in rows)]
        for kind, rows in robust["kinds"].items()
    }
    words, _ = _FIGURES.get(robust["figure"], (robust["figure"], ""))
    return line_chart(lines, x="severity", y=words, dots=True, size=(5.6, 3.4), whole=True)
