"""Which stages know most, and how sure that is."""

import numpy as np
import pytest

from tl.features import FeatureTable
from tl.strategy import CERTAIN
from tl.training.gather import Gathered
from tl.training.stage_probes import ENOUGH, StageProbe, best_taps, compare, probe_stages

CLASSES, WIDTH = 3, 8


def table(rows: int, early: float, seed: int) -> FeatureTable:
    """Two stages that hint at the class: the last one by 1, an early one by so much of its own."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, CLASSES, rows).astype(np.int32)
    hints = np.eye(CLASSES, WIDTH, dtype=np.float32)[targets]
    noise = rng.normal(size=(2, rows, WIDTH)).astype(np.float32)
    features = np.concatenate([early * hints + noise[0], hints + noise[1]], axis=1)
    return FeatureTable(features, targets, np.ones(rows, np.float32), (WIDTH, WIDTH), (0, 1))


def gathered(early: float, seed: int, validation: int | None = 40, training: int = 300) -> Gathered:
    return Gathered(
        table(training, early, seed),
        None,
        None if validation is None else table(validation, early, seed + 1000),
    )


def found(one: Gathered) -> tuple[StageProbe, StageProbe, StageProbe]:
    early, last, both = probe_stages(one, "single_label", CLASSES)
    return early, last, both


def test_stages_that_know_something_of_their_own_are_chosen_and_it_is_sure() -> None:
    one = gathered(early=2.0, seed=0)
    _, last, both = found(one)

    result = compare(both, last, one, "single_label", CLASSES)

    assert best_taps(found(one)) in ((0, 1), (0,))
    assert result.compared == 300  # the training pictures judge
    assert result.gain > 5 * result.error
    assert result.loss > result.gain


def test_choice_among_few_pictures_is_not_taken_for_knowledge() -> None:
    """Early stages that know nothing win on 40 pictures now and then, and lose where it counts."""
    by_chance, sure = 0, 0
    for seed in range(30):
        one = gathered(early=0.0, seed=seed)
        probes = found(one)
        best, last = min(probes, key=lambda probe: probe.loss), probes[1]
        by_chance += best is not last
        result = compare(best, last, one, "single_label", CLASSES)
        sure += result.gain > CERTAIN * result.error
    assert by_chance >= 3
    assert sure == 0


@pytest.mark.parametrize(("validation", "compared"), [(ENOUGH, ENOUGH), (ENOUGH - 1, 300)])
def test_enough_validation_judges_itself(validation: int, compared: int) -> None:
    one = gathered(early=1.0, seed=3, validation=validation)
    _, last, both = found(one)

    result = compare(both, last, one, "single_label", CLASSES)

    assert result.compared == compared
    if validation == ENOUGH:
        assert result.gain == pytest.approx(last.loss - both.loss)


def test_without_validation_the_training_pictures_judge() -> None:
    one = gathered(early=2.0, seed=1, validation=None)
    early, last, _ = found(one)

    assert compare(early, last, one, "single_label", CLASSES).compared == 300


def test_probe_against_itself_gains_nothing() -> None:
    one = gathered(early=0.5, seed=2)
    _, last, _ = found(one)

    result = compare(last, last, one, "single_label", CLASSES)

    assert (result.gain, result.error) == (0.0, 0.0)


def test_of_one_picture_nothing_is_certain() -> None:
    one = gathered(early=2.0, seed=0, validation=None, training=10)
    _, last, both = found(one)
    single = Gathered(one.plain.take([0]), None, None)

    assert compare(both, last, single, "single_label", CLASSES).error == float("inf")
