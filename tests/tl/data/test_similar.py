"""Near-duplicates are found whatever was done to the copy, and nothing else is."""

import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tl.data.scenes import Pixels, encode, scene
from tl.data.contents import InMemory
from tl.data.example import Dataset, column
from tl.data.look import look_at
from tl.data.similar import (
    GRID,
    SIDE,
    Signatures,
    connected,
    hash_thumbnails,
    is_same,
    near_duplicate_groups,
    near_duplicates,
)
from tl.data.sources import open_dataset


def signatures_of(files: list[bytes]) -> Signatures:
    dataset = Dataset(
        name="memory", class_names=("a",), keys=column([str(one) for one in range(len(files))]),
        labels=np.zeros(len(files), np.int32), contents=InMemory(files),
        rows=np.arange(len(files)),
    )  # fmt: skip
    return look_at(dataset, max_pixels=10**8).signatures


def smaller(image: Pixels) -> bytes:
    return encode(cv2.resize(image, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA))


def recompressed(image: Pixels) -> bytes:
    return encode(image, quality=30)


def cropped(image: Pixels) -> bytes:
    height, width = image.shape[:2]
    return encode(image[: round(0.95 * height), width - round(0.95 * width) :])


def brighter(image: Pixels) -> bytes:
    return encode(np.clip(image.astype(np.int16) + 8, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("change", [smaller, recompressed, cropped, brighter])
def test_changed_copies_are_found_and_nothing_else(change: Callable[[Pixels], bytes]) -> None:
    images = [scene(number, (240, 320)) for number in range(30)]
    files = [encode(image) for image in images] + [change(image) for image in images]

    pairs = near_duplicates(signatures_of(files))

    assert {tuple(pair) for pair in pairs.tolist()} == {(one, one + 30) for one in range(30)}


def test_the_same_shape_in_another_colour_is_another_picture() -> None:
    red, blue = np.full((2, 64, 64, 3), 255, np.uint8)
    cv2.circle(red, (30, 30), 20, (220, 60, 60), -1)
    cv2.circle(blue, (30, 30), 20, (40, 90, 250), -1)

    assert len(near_duplicates(signatures_of([encode(red), encode(blue)]))) == 0


def test_mirrored_and_turned_copies_are_others() -> None:
    image = scene(1, (160, 160))
    files = [encode(np.ascontiguousarray(one)) for one in (image, image[:, ::-1], np.rot90(image))]

    assert len(near_duplicates(signatures_of(files))) == 0


def test_blank_and_tiny_pictures_are_compared_by_bytes_alone() -> None:
    grey = np.full((64, 64, 3), 90, np.uint8)
    tiny = scene(3, (20, 30))
    files = [encode(grey), encode(grey, ".png"), encode(tiny), encode(tiny, ".png")]
    signatures = signatures_of(files)

    assert len(near_duplicates(signatures)) == 0
    assert near_duplicate_groups(signatures, ["b", "a", "c", "c"]) == [None, None, "c", "c"]


def test_a_group_is_called_by_its_smallest_identity() -> None:
    image = scene(5)
    signatures = signatures_of([encode(image), encode(scene(6)), recompressed(image)])

    assert near_duplicate_groups(signatures, ["z", "m", "k"]) == ["k", None, "k"]


def test_hash_is_the_signs_of_the_lowest_waves() -> None:
    """Worked by hand: a picture that falls from left to right has wave (0, 1) above zero only."""
    x = np.arange(SIDE)
    falling = np.broadcast_to(128 + 100 * np.cos(np.pi * (x + 0.5) / SIDE), (1, SIDE, SIDE))

    assert int(hash_thumbnails(np.rint(falling).astype(np.uint8))[0]) & 0b10 == 0b10
    assert int(hash_thumbnails(np.rint(256 - falling).astype(np.uint8))[0]) & 0b10 == 0


def test_a_thousand_frames_of_one_scene_take_thousands_of_comparisons_not_half_a_million(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    still = signatures_of([encode(scene(1))])
    noise = np.random.default_rng(0).normal(0, 3, (1000, SIDE, SIDE))
    frames = np.clip(still.thumbnails + noise, 0, 255).astype(np.uint8)
    compared = []

    def counting(signatures: Signatures, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        compared.append(len(pairs))
        return is_same(signatures, pairs)

    monkeypatch.setattr("tl.data.similar.is_same", counting)
    names = near_duplicate_groups(
        Signatures(frames, np.repeat(still.colours, 1000, axis=0)),
        [f"{i:03d}" for i in range(1000)],
    )

    assert set(names) == {"000"}
    assert sum(compared) < 10_000


def test_all_pairs_are_looked_at_across_blocks() -> None:
    """More pictures than a block has columns: the search is the same as one by one."""
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (9000, SIDE, SIDE), dtype=np.uint8)
    planted = [(3, 8999), (8191, 8192), (100, 101), (15, 16), (17, 8300)]
    for one, other in planted:
        thumbnails[other] = thumbnails[one]
    signatures = Signatures(thumbnails, np.full((9000, GRID, GRID, 2), 100, np.uint8))

    assert near_duplicates(signatures).tolist() == [list(pair) for pair in sorted(planted)]


@pytest.fixture(scope="module")
def some_signatures() -> Signatures:
    """Eight scenes, each thrice: as it is, smaller, cropped."""
    images = [scene(number) for number in range(8)]
    makers: tuple[Callable[[Pixels], bytes], ...] = (encode, smaller, cropped)
    return signatures_of([make(image) for image in images for make in makers])


pictures = st.lists(st.tuples(st.integers(0, 23), st.integers(0, 5)), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(chosen=pictures, seed=st.integers(0, 1000))
def test_groups_are_a_partition_that_ignores_the_order(
    some_signatures: Signatures, chosen: list[tuple[int, int]], seed: int
) -> None:
    places = np.array([place for place, _ in chosen])
    # Two pictures may share an identity only where they are the same picture.
    identities = [f"{(place * 7) % 24:02d}-{copy}" for place, copy in chosen]
    order = np.random.default_rng(seed).permutation(len(chosen))

    names = near_duplicate_groups(some_signatures.take(places), identities)
    shuffled = near_duplicate_groups(
        some_signatures.take(places[order]), [identities[one] for one in order]
    )

    assert [names[one] for one in order] == shuffled
    members: dict[str, set[str]] = {}
    for name, identity in zip(names, identities, strict=True):
        if name is not None:
            members.setdefault(name, set()).add(identity)
    for name, its in members.items():
        assert name == min(its)
    for one, name in zip(identities, names, strict=True):  # copies are always together
        assert {n for i, n in zip(identities, names, strict=True) if i == one} == {name}
        assert (name is not None) or identities.count(one) == 1


@given(
    count=st.integers(1, 30),
    pairs=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40),
)
def test_connected_is_a_partition_of_what_pairs_join(
    count: int, pairs: list[tuple[int, int]]
) -> None:
    pairs = [(a, b) for a, b in pairs if a < count and b < count]

    groups = connected(count, pairs)

    place = {one: number for number, group in enumerate(groups) for one in group}
    assert len(place) == sum(map(len, groups))
    assert all(len(group) > 1 for group in groups)
    assert all(a == b or place[a] == place[b] for a, b in pairs)
    assert groups == connected(count, [(b, a) for a, b in reversed(pairs)])


def test_nothing_is_found_among_nothing() -> None:
    empty = Signatures(np.empty((0, SIDE, SIDE), np.uint8), np.empty((0, GRID, GRID, 2), np.uint8))

    assert near_duplicates(empty).shape == (0, 2)
    assert near_duplicate_groups(empty, []) == []
    assert connected(0, []) == []


@pytest.mark.slow
def test_copies_of_real_photos_are_found(shared_data: Path) -> None:
    """The figures of docs/check.md: recall 0.95 or more, 1 % false pairs or fewer."""
    from benchmarks.check import COPIES

    originals = [one.read() for one in open_dataset(str(shared_data / "flower_photos"))]
    count = len(originals)
    for name, make in list(COPIES.items())[:-1]:
        made = [
            make(cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB),
                 random.Random(number))
            for number, data in enumerate(originals)
        ]  # fmt: skip
        pairs = near_duplicates(signatures_of(originals + made))
        true = (pairs[:, 1] - pairs[:, 0] == count).sum()

        assert true / count >= 0.95, name
        assert (len(pairs) - true) / len(pairs) <= 0.01, name
