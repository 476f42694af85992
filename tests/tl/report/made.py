"""Facts for a report, made up but for the figures, which are measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tl.evaluation.curves import class_curves
from tl.evaluation.measures import MEASURES, Question
from tl.evaluation.predictions import Predictions
from tl.report.page import ReportFacts


def made_record(names: Sequence[str], **changes: Any) -> dict[str, Any]:
    """What ``run.json`` holds."""
    return {
        "id": "20260101-120000-flowers-ab12",
        "name": "flowers",
        "config": {"dataset": "/pictures/flowers", "training": {"strategy": "last"}},
        "backbone": "mobilenet_v2",
        "weights": {"source": "imagenet", "sha256": None},
        "image_size": [96, 96],
        "class_names": list(names),
        "fingerprint": "0" * 32,
        "class_counts": {
            side: {name: count + place for place, name in enumerate(names)}
            for side, count in (("train", 20), ("val", 5), ("test", 6))
        },
        "device": "CPU, float32, tensorflow",
        "versions": {"tl": "0.1.0", "git": "abc123"},
        "problem": "single_label",
        **changes,
    }


def made_predictions(
    names: Sequence[str], count: int = 60, keys: Sequence[str] | None = None, seed: int = 0
) -> Predictions:
    """Answers that are right for two of three pictures."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % len(names)
    logits = rng.normal(size=(count, len(names)))
    logits[np.arange(count), truth] += np.where(rng.random(count) < 0.6, 3, 0)
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        problem="single_label",
        class_names=tuple(names),
        side="test",
        keys=keys or [f"{names[label]}/{place}.jpg" for place, label in enumerate(truth.tolist())],
        identities=[f"{place:064x}" for place in range(count)],
        truth=truth,
        answers=answers.astype(np.float32),
    )


def made_evaluation(predictions: Predictions) -> dict[str, Any]:
    """What ``evaluation.json`` holds of these answers."""
    names = predictions.class_names
    question = Question("single_label", names)
    return {
        "measured_on": "test",
        "metrics": MEASURES["single_label"].metrics(
            predictions.answers, predictions.truth, question, None
        ),
        "curves": class_curves(predictions.answers, predictions.truth, names),
        "slices": [
            {"cut": "folder", "value": names[0], "n_pictures": 20, "of": "right", "figure": 0.5,
             "interval": [0.3, 0.7], "elsewhere": 0.8, "p_value": 0.001, "is_worse": True}
        ],
        "robustness": {
            "figure": "top_1_accuracy", "n_pictures": 60,
            "clean": {"value": 0.7, "interval": [0.6, 0.8]},
            "kinds": {"blur": [{"value": 0.6, "interval": [0.5, 0.7], "severity": 1}]},
        },
    }  # fmt: skip


def made_facts(names: Sequence[str], **changes: Any) -> ReportFacts:
    """Everything together."""
    predictions = changes.pop("predictions", made_predictions(names))
    options: dict[str, Any] = {
        "asked": {"dataset": "/pictures/flowers"},
        "record": made_record(names),
        "evaluation": made_evaluation(predictions) if "evaluation" not in changes else {},
        "predictions": predictions,
        "curves": {"head": {"loss": [(1, 0.9), (2, 0.5)], "val_loss": [(1, 1.0), (2, 0.7)]}},
        "samples": {name: [f"{name}/train.jpg"] for name in names},
        "show": lambda key: "data:image/jpeg;base64,AAAA",
        "reproduce": "tl finetune --dataset /pictures/flowers",
        "exclude": "tl finetune --dataset /pictures/flowers --exclude /runs/x/suspects.csv",
        **changes,
    }
    return ReportFacts(**options)
