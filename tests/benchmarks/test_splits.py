from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.comparison.splits import few_shot, link_split, make_fold, picture_keys

KEYS = [f"{name}/{number:03}.jpg" for name in ("daisy", "rose") for number in range(50)]


@given(
    counts=st.lists(st.integers(5, 40), min_size=2, max_size=4),
    n_folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_folds_test_every_picture_once_and_sides_are_disjoint(
    counts: list[int], n_folds: int, seed: int
) -> None:
    keys = [
        f"{label}/{number}.jpg" for label, count in enumerate(counts) for number in range(count)
    ]
    tested: list[str] = []
    for fold in range(n_folds):
        split = make_fold(keys, n_folds=n_folds, fold=fold, seed=seed)
        assert sorted(key for side in split.values() for key in side) == sorted(keys)
        tested += split["test"]
    assert sorted(tested) == sorted(keys)


def test_every_class_is_on_each_side_in_its_share() -> None:
    split = make_fold(KEYS, n_folds=5, fold=2, seed=1)

    for side, count in (("train", 32), ("val", 8), ("test", 10)):
        members = split[side]  # type: ignore[index]
        assert sum(key.startswith("daisy/") for key in members) == count
        assert sum(key.startswith("rose/") for key in members) == count


def test_seed_draws_other_folds_and_the_order_of_keys_does_not_matter() -> None:
    first = make_fold(KEYS, n_folds=5, fold=0, seed=0)

    assert make_fold(KEYS, n_folds=5, fold=0, seed=1)["test"] != first["test"]
    assert make_fold(KEYS[50:] + KEYS[:50], n_folds=5, fold=0, seed=0) == first


def test_fewer_shots_are_among_more_and_leave_validation_and_test_whole() -> None:
    split = make_fold(KEYS, n_folds=5, fold=0, seed=0)

    five, ten = few_shot(split, 5), few_shot(split, 10)

    assert len(five["train"]) == 10
    assert set(five["train"]) < set(ten["train"]) < set(split["train"])
    assert (five["val"], five["test"]) == (split["val"], split["test"])


def test_links_lead_to_the_pictures(pictures: Path, tmp_path: Path) -> None:
    keys = picture_keys(pictures)
    split = make_fold(keys, n_folds=3, fold=0, seed=0)

    folder = link_split(split, pictures, tmp_path / "split")

    linked = {path.relative_to(folder / "test").as_posix() for path in folder.glob("test/*/*")}
    assert linked == set(split["test"])
    for key in split["test"]:
        assert (folder / "test" / key).read_bytes() == (pictures / key).read_bytes()
