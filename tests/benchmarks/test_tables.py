from dataclasses import replace

from benchmarks.comparison.results import Epoch, Result, Trial
from benchmarks.comparison.tables import best_single, table_of


def measured(
    command: str, contender: str, *, right: int = 8, wall_s: float = 10.0, seed: int = 0,
    epochs: tuple[tuple[float, float], ...] = ((5.0, 0.7), (10.0, 0.8)), budget: str = "",
) -> Result:  # fmt: skip
    return Result(
        trial=Trial(command=command, dataset="flowers", backbone="tl_small", contender=contender,
                    seed=seed, budget=budget),
        epochs=tuple(Epoch(seconds, "head", accuracy) for seconds, accuracy in epochs),
        wall_s=wall_s,
        predictions={f"a/{number}": "a" if number < right else "b" for number in range(10)},
        commit="abc",
    )  # fmt: skip


def row(lines: list[str], contender: str) -> list[str]:
    (line,) = [one for one in lines if f"| {contender} |" in one]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_time_is_counted_until_the_guides_last_accuracy_and_compared_round_by_round() -> None:
    results = [
        measured("time", "guide", wall_s=100.0, epochs=((40.0, 0.8), (100.0, 0.75))),
        measured("time", "tl", wall_s=20.0, epochs=((5.0, 0.74), (10.0, 0.76))),
        measured("time", "guide", wall_s=200.0, epochs=((200.0, 0.9),), seed=1),
        measured("time", "tl", wall_s=20.0, epochs=((10.0, 0.9),), seed=1),
    ]

    lines = table_of("time", results)

    assert row(lines, "tl")[4:] == ["20 (20, 20)", "0.825 (0.750, 0.900)", "10.0 (10.0, 10.0)",
                                    "15.0 (10.0, 20.0)", "7.5 (5.0, 10.0)"]  # fmt: skip
    assert row(lines, "guide")[6] == "120.0 (40.0, 200.0)"


def test_accuracy_that_was_never_reached_has_no_median() -> None:
    results = [
        measured("time", "guide", epochs=((10.0, 0.9),)),
        measured("time", "tl", epochs=((10.0, 0.8),)),
    ]

    assert row(table_of("time", results), "tl")[6:8] == ["(never)", "(never)"]


def test_folds_are_compared_with_the_guide() -> None:
    results = [
        measured("folds", "guide", right=5, wall_s=100.0),
        measured("folds", "tl", right=9, wall_s=50.0, budget="guide"),
    ]

    lines = table_of("folds", results)

    assert row(lines, "guide")[-1] == "reference"
    cells = row(lines, "tl within the guide's time")
    assert cells[5:8] == ["0.900 (0.900)", "50 (50)", "0.50"]
    assert cells[8].startswith("+40.0 (")


def test_auto_is_compared_with_the_best_of_the_others() -> None:
    results = [
        measured("strategies", "tl:features", right=6),
        measured("strategies", "tl:all", right=8),
        measured("strategies", "tl:auto", right=9, wall_s=13.0),
    ]

    lines = table_of("strategies", results)

    assert best_single({one.trial.label: [one] for one in results}) == "tl:all"
    assert row(lines, "tl:all")[-1] == "reference"
    assert row(lines, "tl:auto")[-2] == "1.30"


def test_what_was_only_tried_out_or_at_another_size_is_not_mixed_with_what_was_measured() -> None:
    tried = measured("folds", "guide")
    results = [
        replace(tried, trial=replace(tried.trial, quick=True)),
        measured("folds", "guide"),
        replace(tried, trial=replace(tried.trial, size=96)),
    ]

    lines = table_of("folds", results)

    assert [line.split("|")[2:6] for line in lines[2:4]] == [
        [" tl_small at 224 ", " all ", " guide ", " 1 "],
        [" tl_small at 96 ", " all ", " guide ", " 1 "],
    ]
    assert lines[-1] == "2 trainings at abc."


def test_command_without_results_says_so() -> None:
    assert table_of("folds", [measured("time", "tl")]) == ["folds: nothing measured yet"]
