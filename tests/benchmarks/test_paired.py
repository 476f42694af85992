import numpy as np

from benchmarks.comparison.paired import bootstrap_interval, paired_differences
from benchmarks.comparison.results import Epoch, Result, Trial


def answered(predictions: dict[str, str], seed: int = 0, fold: int = 0) -> Result:
    trial = Trial(command="folds", dataset="flowers", backbone="tl_small", contender="tl",
                  fold=fold, seed=seed)  # fmt: skip
    return Result(
        trial=trial, epochs=(Epoch(1.0, "head", 1.0),), wall_s=1.0, predictions=predictions
    )


def test_interval_holds_the_true_mean_95_times_in_100() -> None:
    # Differences of two classifiers: 1 for a picture gained, -1 for one lost, true mean 0.05.
    rng = np.random.default_rng(0)
    held = 0
    for draw in range(300):
        differences = rng.choice([1.0, -1.0, 0.0], size=200, p=[0.15, 0.10, 0.75])
        interval = bootstrap_interval(differences, seed=draw, resamples=400)
        held += interval.low <= 0.05 <= interval.high

    # 285 are expected; the binomial's standard deviation is 4, and the percentile bootstrap and
    # 400 resamples in place of 10,000 lose a point or two.
    assert 270 <= held <= 296


def test_interval_is_the_same_for_the_same_pictures() -> None:
    differences = [1.0, 0.0, 0.0, -1.0, 1.0]

    assert bootstrap_interval(differences) == bootstrap_interval(differences)
    assert bootstrap_interval([0.5] * 9).low == bootstrap_interval([0.5] * 9).high == 0.5


def test_differences_are_averaged_over_seeds_picture_by_picture() -> None:
    mine = [answered({"a/1": "a", "a/2": "a"}), answered({"a/1": "a", "a/2": "b"}, seed=1)]
    theirs = [answered({"a/1": "b", "a/2": "a"}), answered({"a/1": "a", "a/2": "a"}, seed=1)]

    assert paired_differences(mine, theirs).tolist() == [0.5, -0.5]


def test_pictures_tested_by_one_side_only_do_not_count() -> None:
    mine = [answered({"a/1": "a"}), answered({"a/2": "a"}, fold=1)]
    theirs = [answered({"a/1": "b"}), answered({"a/2": "b"}, fold=1, seed=1)]

    assert paired_differences(mine, theirs).tolist() == [1.0]


def test_interval_reads_in_points() -> None:
    assert str(bootstrap_interval([0.03] * 4)) == "+3.0 (+3.0 to +3.0)"
