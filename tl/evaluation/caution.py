"""What a model adds to its answers so that they are not trusted too much.

A temperature makes its probabilities mean what they say, a threshold tells where it had better say
nothing, and a measure of strangeness tells what belongs to no class. All three are fitted here,
on pictures that the network did not learn from, and become part of the exported graph. Pure numpy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.evaluation.abstention import choose_threshold, kept_at
from tl.evaluation.calibration import calibration_error, fit_temperature, probabilities_of
from tl.evaluation.strangeness import Strangeness, fit_strangeness, separation
from tl.problem import Problem

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a network says of some pictures.

    Attributes:
        logits: float32 (n, n_classes).
        features: float32 (n, n_features), of the backbone.
        truth: (n,) class indices, or (n, n_classes) of 0 and 1; None of pictures of no class.
    """

    logits: Floats
    features: Floats
    truth: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Caution:
    """What goes into the graph, and why.

    Attributes:
        temperature: that logits are divided by; 1 leaves them.
        abstain_below: largest probability under which the answer is to be left to a person; None
            where nothing is said of it.
        strangeness: of a picture's features; None where it tells no more than the probabilities.
        facts: for people: what was asked, measured and decided, as plain values.
    """

    temperature: float = 1.0
    abstain_below: float | None = None
    strangeness: Strangeness | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def fit_caution(
    problem: Problem,
    training: Seen,
    validation: Seen,
    outside: Mapping[str, Seen],
    error_rate: float,
) -> Caution:
    """Fit all three.

    Args:
        problem: of the classes; values have no probabilities, so nothing is fitted for them.
        training: some pictures that the network learned from.
        validation: pictures that it did not.
        outside: pictures that belong to no class, by the name of where they come from.
        error_rate: share of wrong answers that is accepted among those given.
    """
    if problem == "regression" or validation.truth is None or not len(validation.logits):
        return Caution()
    temperature = fit_temperature(validation.logits, validation.truth, problem)
    confidence = confidences(validation.logits, temperature, problem)
    facts: dict[str, Any] = {
        "n_validation": len(confidence),
        "temperature": temperature,
        "asked_error_rate": error_rate,
    }
    abstain_below = None
    if problem == "single_label":
        right = validation.logits.argmax(axis=1) == validation.truth
        before = confidences(validation.logits, 1.0, problem)
        facts["calibration_error_before"] = _error(before, right)
        facts["calibration_error_after"] = _error(confidence, right)
        abstain_below = choose_threshold(confidence, right, error_rate)
        facts["abstain_below"] = abstain_below
        if abstain_below is not None:
            facts["validation_coverage"] = kept_at(confidence, right, abstain_below).coverage
    labels = training.truth if problem == "single_label" else None
    strangeness = fit_strangeness(training.features, labels, validation.features)
    known = strangeness.scores(validation.features)
    compared = {
        name: {
            "strangeness": separation(known, strangeness.scores(seen.features)),
            "largest_probability": separation(
                -confidence, -confidences(seen.logits, temperature, problem)
            ),
            "n_pictures": len(seen.logits),
        }
        for name, seen in outside.items()
        if len(seen.logits)
    }
    facts["outside"] = compared
    pays = bool(compared) and all(
        one["strangeness"] >= one["largest_probability"] for one in compared.values()
    )
    facts["has_ood_score"] = pays
    return Caution(temperature, abstain_below, strangeness if pays else None, facts)


def confidences(logits: Floats, temperature: float, problem: Problem) -> Floats:
    """Return the largest probability of each picture, (n,)."""
    return np.asarray(probabilities_of(logits, problem, temperature).max(axis=1))


def _error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    return float(calibration_error(confidence, right)(np.ones((1, len(right))))[0])
