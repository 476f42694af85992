"""A strategy is a list of phases after the head."""

from dataclasses import replace

import pytest

from tl.config import TrainingConfig
from tl.strategy import (
    LITTLE,
    Evidence,
    Executed,
    Phase,
    choose_phases,
    decide,
    decision_lines,
    epochs_in,
    go_further,
    has_paid,
    replan,
)

SECONDS: dict[Executed, float] = {"features": 0.0, "stages": 0.0, "last": 3.0, "all": 10.0}


@pytest.mark.parametrize("strategy", ["features", "stages"])
def test_solved_heads_have_nothing_after_them(strategy: Executed) -> None:
    assert choose_phases(TrainingConfig(strategy=strategy), (strategy,), SECONDS) == ()


@pytest.mark.parametrize(("strategy", "n_stages"), [("last", 2), ("all", None)])
def test_fine_tuning_starts_from_a_trained_head(strategy: Executed, n_stages: int | None) -> None:
    training = TrainingConfig(strategy=strategy, last_stages=2, learning_rate=0.1, epochs=7)

    assert choose_phases(training, (strategy,), SECONDS) == (
        Phase(name=f"fine-tune {strategy}", n_stages=n_stages, epochs=7, learning_rate=0.1),
    )
    assert choose_phases(training, (strategy,), SECONDS, seconds_left=2.0) == ()


def test_short_round_comes_first_and_the_rest_only_if_it_has_paid() -> None:
    phases = choose_phases(TrainingConfig(epochs=15), ("last",), SECONDS, in_rounds=True)

    assert [(one.name, one.epochs, one.if_paid) for one in phases] == [
        ("fine-tune last", 4, False),
        ("fine-tune last further", 11, True),
    ]


@pytest.mark.parametrize("epochs", range(1, 30))
@pytest.mark.parametrize("in_rounds", [False, True])
def test_rounds_never_sum_up_to_more_than_was_wanted(epochs: int, in_rounds: bool) -> None:
    phases = choose_phases(TrainingConfig(epochs=epochs), ("all",), SECONDS, None, in_rounds)

    assert sum(one.epochs for one in phases) == epochs
    assert not phases[0].if_paid


@pytest.mark.parametrize(
    ("left", "names"),
    [
        (1.0, []),
        (10.0, [("last", 3)]),
        (20.0, [("last", 4), ("last further", 2)]),
        (70.0, [("last", 4), ("last further", 11), ("all", 2)]),
        (1e6, [("last", 4), ("last further", 11), ("all", 4), ("all further", 11)]),
    ],
)
def test_time_that_was_given_is_used_for_more(left: float, names: list[tuple[str, int]]) -> None:
    further = go_further("last", left)

    phases = choose_phases(TrainingConfig(epochs=15), further, SECONDS, left, in_rounds=True)

    assert [(one.name.removeprefix("fine-tune "), one.epochs) for one in phases] == names


@pytest.mark.parametrize("in_rounds", [False, True])
def test_phases_of_a_run_get_the_epochs_and_the_rate_that_it_goes_on_with(in_rounds: bool) -> None:
    before = TrainingConfig(epochs=15, learning_rate=0.1)
    phases = choose_phases(before, ("last", "all"), SECONDS, None, in_rounds)

    for epochs in (9, 20):
        now = TrainingConfig(epochs=epochs, learning_rate=0.3)
        replanned = replan(phases, before, now)
        assert replanned == tuple(
            replace(one, learning_rate=0.3, epochs=one.epochs + (epochs - 15) * takes)
            for one, takes in zip(phases, [0, 1, 0, 1] if in_rounds else [1, 1], strict=True)
        )
    assert replan(phases, before, before) == phases


@pytest.mark.parametrize("strategy", ["features", "stages", "last", "all"])
def test_without_a_budget_a_run_is_no_longer_than_its_cell(strategy: Executed) -> None:
    assert go_further(strategy, None) == (strategy,)


@pytest.mark.parametrize(
    ("before", "after", "paid"), [(0.4, 0.38, True), (0.4, 0.3801, False), (0.4, 0.4, False)]
)
def test_a_round_pays_that_takes_a_twentieth_off_the_loss(
    before: float, after: float, paid: bool
) -> None:
    assert has_paid(before, after) == paid


def evidence(pictures: float, gain: float, loss: float = 0.4) -> Evidence:
    return Evidence(
        pictures_per_class=pictures, score_name="accuracy", last_score=0.8, best_taps=(0, 1, 2),
        best_score=0.9, compared=110, last_loss=loss, gain=gain, gain_error=0.02,
        head_seconds=20.0, epochs=15, epoch_seconds=SECONDS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pictures", "gain", "strategy"),
    [
        (LITTLE - 1, 0.0, "features"),
        (LITTLE - 1, 0.03, "features"),  # within the error
        (LITTLE - 1, 0.3, "stages"),
        (LITTLE, 0.0, "last"),
        (LITTLE, 0.3, "all"),
    ],
)
def test_each_cell_of_the_guideline_has_its_strategy(
    pictures: float, gain: float, strategy: Executed
) -> None:
    decision = decide(evidence(pictures, gain))

    assert decision.strategy == strategy
    assert decision.reads_stages == (gain == 0.3)


def test_gain_that_is_sure_but_small_does_not_make_pictures_different() -> None:
    assert decide(evidence(500, gain=0.05, loss=0.9)).kind == "different"
    assert decide(evidence(500, gain=0.05, loss=1.1)).kind == "similar"


def test_where_the_last_stage_knows_most_nothing_is_compared() -> None:
    text = "\n".join(decision_lines(decide(evidence(1, gain=0.0))))

    assert "1 training picture a class: little data" in text
    assert "no earlier stage, and not all together, knows more" in text
    assert "take" not in text


def test_table_marks_the_chosen_cell_and_gives_numbers_and_costs() -> None:
    text = "\n".join(decision_lines(decide(evidence(500, 0.3))))

    assert text.count(">") == 1
    assert "> all, about 170 s, 10.0 s an epoch" in text
    assert "features, about 20 s  " in text
    assert "of 110 pictures these take 75.0 % off the loss; it has to be 5 % and 2 standard" in text
    assert "500 training pictures a class: more data" in text
    assert "accuracy 0.800; on stages 1+2+3: 0.900" in text
    assert "last, about 65 s, 3.0 s an epoch" in text
    for words in ("similar pictures", "different pictures", "little data"):
        assert words in text


@pytest.mark.parametrize(
    ("left", "epochs"), [(None, 15), (1000.0, 15), (47.0, 4), (9.0, 0), (-5.0, 0)]
)
def test_fine_tuning_takes_the_time_that_is_left(left: float | None, epochs: int) -> None:
    assert epochs_in(left, 10.0, 15) == epochs
    assert epochs_in(left, 0.0, 15) == 15
