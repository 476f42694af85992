"""No picture has a say in what it judges, and what it says is worth as much as it should be."""

import numpy as np
import pytest

from tl.errors import DatasetError
from tl.problem import Problem
from tl.training.unseen import Judging, plan_judging, scoring_of, unseen_outputs

RNG = np.random.default_rng(0)


def plan(n_train: int, n_val: int, *, given: bool = False) -> Judging:
    validates = np.arange(n_train + n_val) >= n_train
    strata = np.arange(n_train + n_val) % 2
    units = [str(n) for n in range(n_train + n_val)]
    return plan_judging(validates, strata, units, given=given, seed=0)


def test_few_validation_pictures_judge_in_turn_with_the_training_pictures() -> None:
    judging = plan(80, 20)

    assert judging.words == "100 training and validation pictures judge in turn, in 5 folds"
    assert judging.rows.tolist() == list(range(100))
    for learnt, judges in judging.rounds:
        assert not set(learnt) & set(judges)
        assert len(learnt) + len(judges) == 100


@pytest.mark.parametrize(("n_val", "given"), [(1000, False), (100, True)])
def test_enough_validation_pictures_judge_alone(n_val: int, given: bool) -> None:
    judging = plan(150, n_val, given=given)

    ((learnt, judges),) = judging.rounds
    assert learnt.tolist() == list(range(150))
    assert judges.tolist() == judging.rows.tolist() == list(range(150, 150 + n_val))


@pytest.mark.parametrize(("n_val", "given"), [(999, False), (99, True)])
def test_one_validation_picture_less_and_all_judge(n_val: int, given: bool) -> None:
    assert len(plan(150, n_val, given=given).rows) == 150 + n_val


def test_pictures_of_one_group_cannot_judge_each_other() -> None:
    with pytest.raises(DatasetError, match="all 6 training and validation .* of one group"):
        plan_judging(np.zeros(6, bool), np.arange(6) % 2, ["one"] * 6, given=False, seed=0)


def outputs_of(
    features: np.ndarray, labels: np.ndarray, problem: Problem = "single_label", n_outputs: int = 2
) -> tuple[np.ndarray, float]:
    judging = plan(len(labels), 0)
    weights = np.ones(len(labels), np.float32)
    objective = scoring_of(problem, n_outputs, labels)
    outputs = unseen_outputs(features.astype(np.float32), labels, weights, judging, objective)
    return outputs, objective.score(outputs, labels, weights)


def test_features_without_a_word_score_chance_although_they_could_be_learnt_by_heart() -> None:
    """More features than pictures: any probe is right on what it learnt from."""
    features = RNG.normal(size=(200, 400))
    labels = (np.arange(200) % 2).astype(np.int32)

    _, accuracy = outputs_of(features, labels)

    assert abs(accuracy - 0.5) < 0.12  # three standard deviations


def test_features_that_know_the_class_score_high() -> None:
    labels = (np.arange(200) % 2).astype(np.int32)
    features = RNG.normal(size=(200, 20)) + 2 * labels[:, None]

    outputs, accuracy = outputs_of(features, labels)

    assert outputs.shape == (200, 2)
    assert accuracy > 0.97


def test_a_picture_does_not_change_what_is_said_of_it() -> None:
    labels = (np.arange(200) % 2).astype(np.int32)
    features = (RNG.normal(size=(200, 10)) + labels[:, None]).astype(np.float32)
    weights, judging = np.ones(200, np.float32), plan(100, 100, given=True)
    objective = scoring_of("single_label", 2, labels)
    before = unseen_outputs(features, labels, weights, judging, objective)
    mine = judging.rows[judging.blocks[judging.rows] == judging.blocks[150]]
    labels[mine] = 1 - labels[mine]

    after = unseen_outputs(features, labels, weights, judging, objective)

    # All of its block together would change the penalty, if they had a say in it.
    assert 15 <= len(mine) <= 25
    assert np.array_equal(before[mine], after[mine])
    assert not np.array_equal(before[100:], after[100:])


def test_numbers_and_several_classes_are_judged_in_their_own_scores() -> None:
    truth = RNG.normal(size=(150, 1))
    features = np.concatenate([truth + 0.1 * RNG.normal(size=(150, 1)), RNG.normal(size=(150, 5))],
                              axis=1)  # fmt: skip
    values = (5000 + 100 * truth).astype(np.float32)
    several = np.concatenate([truth > 0, truth > 0.5], axis=1).astype(np.float32)

    _, error = outputs_of(features, values, "regression", 1)
    _, micro_f1 = outputs_of(features, several, "multi_label", 2)

    assert 4 < error < 16  # noise of 10, whose mean absolute value is 8
    assert micro_f1 > 0.85


def test_what_cannot_be_read_neither_teaches_nor_chooses() -> None:
    labels = (np.arange(100) % 2).astype(np.int32)
    features = (RNG.normal(size=(100, 8)) + labels[:, None]).astype(np.float32)
    weights = np.ones(100, np.float32)
    weights[:10] = 0
    judging, objective = plan(100, 0), scoring_of("single_label", 2, labels)

    before = unseen_outputs(features, labels, weights, judging, objective)
    labels[:10] = 1 - labels[:10]
    after = unseen_outputs(features, labels, weights, judging, objective)

    assert np.array_equal(before, after)
