"""The card of a model: Markdown, with the metadata that model hubs read."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tl.problem import LOWER_IS_BETTER
from tl.report.shown import shown_name, shown_text
from tl.report.templates import templates

HEADLINES = (
    "top_1_accuracy", "top_5_accuracy", "macro_f1", "mean_average_precision", "micro_f1", "mae",
    "rmse", "r2", "log_loss", "brier_score", "expected_calibration_error",
)  # fmt: skip
NAMED = 100
"""Classes."""


def model_card(record: Mapping[str, Any], evaluation: Mapping[str, Any], reproduce: str) -> str:
    """Return the card.

    Args:
        record: ``run.json``.
        evaluation: ``evaluation.json``.
        reproduce: the command that makes such a model again.
    """
    environment = templates(html=False)
    environment.filters.update(quoted=_quoted, md=_markdown, names=_names)
    metrics = evaluation.get("metrics", {})
    figures = [
        (name, metrics[name], metrics.get(f"{name}_interval"))
        for name in HEADLINES
        if name in metrics
    ]
    kinds = evaluation.get("robustness", {}).get("kinds", {})
    lower = evaluation.get("robustness", {}).get("figure") in LOWER_IS_BETTER
    ends = [(name, rows[-1]["value"]) for name, rows in kinds.items()]
    weakest = (max if lower else min)(ends, key=lambda one: one[1]) if ends else None
    slices = evaluation.get("slices") or [None]
    rendered: str = environment.get_template("model_card.md.jinja").render(
        record=record,
        dataset=Path(str(record["config"]["dataset"])).name,
        measured_on={"val": "validation"}.get(evaluation.get("measured_on", ""), "test"),
        headline_name=figures[0][0] if figures else "none",
        figures=figures,
        n_pictures=metrics.get("n_pictures", 0),
        caution=evaluation.get("caution", {}),
        counts={side: sum(one.values()) for side, one in record["class_counts"].items()},
        worst=slices[0],
        weakest=weakest,
        reproduce=reproduce,
    )
    return rendered


def _quoted(text: str) -> str:
    """Return text as a string of YAML; JSON is one, but for signs that YAML wants escaped."""
    return json.dumps(shown_text(text), ensure_ascii=False)


def _markdown(text: Any) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(
        r"([\\`*\[\]<>#|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", shown_name(text)
    )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(_markdown(name) for name in names[:NAMED]) + more
