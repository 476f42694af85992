"""Balancing reaches the loss: a class with few pictures is not given up for those with many."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tl.data.balance import balance_classes
from tl.data.batches import evaluation_batches
from tl.training.task import Task
from tl.training.tuning import train_classifier

Setup = Callable[..., dict[str, Any]]
RARE = 2


def share_of_rare(training_setup: Setup, strategy: str, how: Any) -> float:
    """Train on two pictures of one class beside all of the others; return what it is given."""
    setup = training_setup(
        **{"training.strategy": strategy, "training.penalty": 1.0, "training.balance": how}
    )
    training = setup["training"]
    rare = np.flatnonzero(training.labels == RARE)
    kept = np.concatenate([np.flatnonzero(training.labels != RARE), rare[:2]])
    setup["training"] = balance_classes(training.take(np.sort(kept)), how)
    classifier = train_classifier(Task(**setup)).classifier
    outputs = np.concatenate(
        [
            classifier.model.predict_on_batch(batch[0])
            for batch in evaluation_batches(setup["validation"], (32, 32), batch_size=8)
        ]
    )
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return float(shares[:, RARE].mean())


@pytest.mark.parametrize("strategy", ["features", pytest.param("last", marks=pytest.mark.slow)])
def test_rare_class_gets_a_larger_share_of_the_answers(
    training_setup: Setup, strategy: str
) -> None:
    plain, weighted, sampled = (
        share_of_rare(training_setup, strategy, how) for how in ("none", "weights", "sampling")
    )

    assert weighted > 1.3 * plain
    assert sampled > 1.3 * plain
