"""Parts of the pictures: the bad one is found, chance is not taken for one."""

import numpy as np
import pytest

from tl.evaluation.slices import MOST_VALUES, find_error_slices, find_slices, size_words


def test_bad_part_is_first_and_named_worse() -> None:
    rng = np.random.default_rng(0)
    camera = np.array(["a", "b", "c", "d"])[rng.integers(0, 4, 400)]
    right = rng.random(400) < np.where(camera == "c", 0.5, 0.95)

    found = find_slices(right, {"group": camera.tolist()})

    assert [one.value for one in found][0] == "c"
    assert [one.value for one in found if one.is_worse] == ["c"]
    worst = found[0]
    inside = camera == "c"
    assert worst.n_pictures == inside.sum()
    assert worst.figure == pytest.approx(right[inside].mean())
    assert worst.elsewhere == pytest.approx(right[~inside].mean())
    assert worst.interval[0] < worst.figure < worst.interval[1]


def test_part_with_large_errors_is_first_and_named_worse() -> None:
    rng = np.random.default_rng(0)
    camera = np.array(["a", "b", "c"])[rng.integers(0, 3, 300)]
    errors = rng.normal(0, np.where(camera == "b", 9.0, 3.0))
    found = find_error_slices(errors, {"folder": camera.tolist()})
    assert [one.value for one in found][0] == "b"
    assert [one.value for one in found if one.is_worse] == ["b"]
    worst, inside = found[0], camera == "b"
    assert (worst.of, worst.n_pictures) == ("mae", inside.sum())
    assert worst.figure == pytest.approx(np.abs(errors[inside]).mean())
    assert worst.elsewhere == pytest.approx(np.abs(errors[~inside]).mean())
    assert worst.interval[0] < worst.figure < worst.interval[1]


def test_chance_is_rarely_called_a_larger_error() -> None:
    rng = np.random.default_rng(2)
    called = 0
    for _ in range(100):
        cuts = {"group": rng.integers(0, 6, 150).astype(str).tolist()}
        called += any(one.is_worse for one in find_error_slices(rng.normal(0, 1, 150), cuts))
    assert called / 100 < 0.08
    assert all(
        one.interval == (0.0, 0.0)
        for one in find_error_slices(np.zeros(40), {"size": ["s", "l"] * 20})
    )


def test_chance_is_rarely_called_worse() -> None:
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(200):
        right = rng.random(150) < 0.8
        cuts = {"group": rng.integers(0, 6, 150).astype(str).tolist(),
                "size": rng.integers(0, 3, 150).astype(str).tolist()}  # fmt: skip
        called += any(one.is_worse for one in find_slices(right, cuts))
    assert called / 200 < 0.06


def test_parts_of_few_pictures_and_cuts_into_dust_are_left_out() -> None:
    right = np.ones(200, bool)
    values = ["few"] * 9 + ["many"] * 191
    assert [one.value for one in find_slices(right, {"folder": values})] == []
    dust = [str(number % (MOST_VALUES + 1)) for number in range(200)]
    assert find_slices(right, {"folder": dust, "group": ["one"] * 200}) == []


def test_sizes_are_thirds_by_pixels() -> None:
    sizes = np.array([[10, 10 + number] for number in range(9)])
    words = size_words(sizes)
    assert words == ["small"] * 3 + ["middle"] * 3 + ["large"] * 3
    assert size_words(np.full((5, 2), 30)) == ["middle"] * 5
