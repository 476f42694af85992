"""What is fitted before an export, on networks whose faults are known."""

import numpy as np
import pytest

from tl.evaluation.caution import Seen, fit_caution

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(0, 1, (3, 16))


def seen(count: int, factor: float, seed: int) -> Seen:
    """A network that is right as often as its logits / factor say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    features = CENTRES[truth] + 0.2 * rng.normal(0, 1, (count, 16))
    return Seen(factor * logits, features, truth)


def strangers(kind: str, count: int = 200) -> Seen:
    rng = np.random.default_rng(9)
    far = rng.normal(0, 1, (count, 16))
    near = CENTRES[rng.integers(0, 3, count)] + 0.2 * rng.normal(0, 1, (count, 16))
    return Seen(
        np.zeros((count, 3)) if kind == "flat" else rng.normal(0, 4, (count, 3)),
        near if kind == "flat" else far,
    )


def test_overconfidence_is_taken_back_and_the_error_rate_is_kept() -> None:
    caution = fit_caution(
        "single_label", seen(600, 3.0, 1), seen(1000, 3.0, 2), {"far": strangers("far")}, 0.1
    )
    assert caution.temperature == pytest.approx(3.0, rel=0.15)
    facts = caution.facts
    assert facts["calibration_error_after"] < facts["calibration_error_before"] / 3
    assert caution.abstain_below is not None
    assert 0 < caution.abstain_below < 1
    assert caution.strangeness is not None
    assert facts["has_ood_score"]
    assert facts["outside"]["far"]["strangeness"] > 0.95


def test_strangeness_worse_than_the_largest_probability_is_not_shipped() -> None:
    """Of these strangers the probabilities tell, and the features do not."""
    caution = fit_caution(
        "single_label", seen(600, 3.0, 1), seen(400, 3.0, 2), {"flat": strangers("flat")}, 0.1
    )
    compared = caution.facts["outside"]["flat"]
    assert compared["strangeness"] < compared["largest_probability"]
    assert caution.strangeness is None
    assert not caution.facts["has_ood_score"]


def test_rate_that_no_threshold_keeps_gives_no_abstention() -> None:
    validation = seen(30, 1.0, 3)
    wrong = Seen(validation.logits, validation.features, (validation.logits.argmax(axis=1) + 1) % 3)
    caution = fit_caution("single_label", seen(60, 1.0, 1), wrong, {}, 0.05)
    assert caution.abstain_below is None
    assert caution.strangeness is None  # nothing from outside says that it pays


def test_values_and_runs_without_validation_get_none() -> None:
    one = seen(50, 1.0, 1)
    assert fit_caution("regression", one, one, {}, 0.05).facts == {}
    nobody = Seen(np.empty((0, 3)), np.empty((0, 16)), np.empty(0, int))
    assert fit_caution("single_label", one, nobody, {}, 0.05).temperature == 1.0
