"""Which pictures are nearly the same: signatures in, pairs and groups out. Pure numpy.

Three sieves, each for what the one before lets through: a 63-bit hash of every pair, a 4 x 4
layout of brightness and colour, and at last a comparison of the thumbnails after one was moved
and scaled onto the other, since a crop of 5 % moves an edge by more than a pixel of a thumbnail.
Every pair that could pass the second is looked at: there is no index that might miss one. The
limits were chosen by measuring, see docs/check.md.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SIDE = 32
"""Of a thumbnail, in pixels."""
GRID = 4
"""Side of the layout of colours."""
HASH_BITS_APART = 16
"""Of 63. Crops of 5 % reach 14 (95 %) and 16 (99 %); 0.02 % of unlike pairs come as near."""
LAYOUT_APART = 14.0
"""Root mean square, in levels of 256. Crops of 5 % reach 10 (99 %)."""
COLOUR_APART = 8.0
"""Root mean square of Cr and Cb over the layout, likewise. Crops of 5 % reach 6 (99 %)."""
LIKENESS = 0.97
"""Correlation of the aligned thumbnails above which two pictures are nearly the same. Crops of 5 %
keep 0.98 (99 %); the most alike of 280,000 pairs of unlike photos has 0.935."""
GREY_LIKENESS = 0.99
"""The same for pictures without colour, which is evidence that they lack: centred grey shapes and
scans of one kind come to 0.98 without being the same. Crops of 5 % keep 0.99 (95 %)."""
GREY_LEVELS = 2.0
"""Root mean square of Cr and Cb around grey up to which a picture has no colour."""
MIN_CONTRAST = 4.0
"""Standard deviation, in levels: below, a picture is compared by its bytes alone. What is left of
a blank one after scaling is noise, and noise correlates with noise."""

_FREQUENCIES = 8
_ROWS_A_TASK = 512
_TASKS_AT_ONCE = 32
_ROWS, _COLUMNS = 128, 4096  # smaller ones wait for Python's lock, larger ones leave the cache
_PAIRS_AT_ONCE = 512
_PAIRS_A_ROUND = 4096
_STEPS = 4  # of the alignment
_REACH = 0.16  # farthest move and scaling of the alignment, in half sides


@dataclass(frozen=True, slots=True, eq=False)
class Signatures:
    """What the search knows of each picture, 1,056 bytes.

    Attributes:
        thumbnails: uint8 (pictures, 32, 32), brightness of the picture squeezed to a square.
        colours: uint8 (pictures, 4, 4, 2), Cr and Cb of its layout.
    """

    thumbnails: NDArray[np.uint8] = field(repr=False)
    colours: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return len(self.thumbnails)

    def take(self, indices: NDArray[np.int64]) -> "Signatures":
        """Return the signatures at some places, in that order."""
        if np.array_equal(indices, np.arange(len(self))):
            return self  # 100 MB of 100,000 pictures are not copied for nothing
        return Signatures(self.thumbnails[indices], self.colours[indices])


def near_duplicate_groups(signatures: Signatures, identities: Sequence[str]) -> list[str | None]:
    """Name the group of near-duplicates that each picture is in.

    Args:
        signatures: of every picture.
        identities: content hashes; equal ones are in one group whatever they look like.

    Returns:
        The smallest identity of the group, or None for a picture that is like no other. A group
        holds whatever a chain of near-duplicates joins.
    """
    first: dict[str, int] = {}
    leaders = np.array(
        [first.setdefault(identity, place) for place, identity in enumerate(identities)], np.int64
    )
    distinct = np.fromiter(first.values(), np.int64, len(first))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for near in _candidates(signatures, distinct, pool):
            for at in range(0, len(near), _PAIRS_A_ROUND):
                # What is joined already need not be compared: of 1,000 frames of one scene, 1,000
                # pairs and not half a million.
                part = near[at : at + _PAIRS_A_ROUND]
                part = part[leaders[part[:, 0]] != leaders[part[:, 1]]]
                same = part[_same(signatures, part, pool)]
                leaders = _join(leaders, same) if len(same) else leaders
    sizes = np.bincount(leaders, minlength=len(leaders))
    smallest: dict[int, str] = {}
    for identity, leader in zip(identities, leaders.tolist(), strict=True):
        smallest[leader] = min(identity, smallest.get(leader, identity))
    return [smallest[one] if sizes[one] > 1 else None for one in leaders.tolist()]


def _join(leaders: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first place of everybody's group after some pairs were joined."""
    for places in connected(len(leaders), leaders[pairs].tolist()):
        leaders[places] = places[0]
    return leaders[leaders]


def connected(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return what chains of pairs join: lists of two or more of 0 to count - 1, in order."""
    leaders = list(range(count))

    def leader(one: int) -> int:
        while leaders[one] != one:
            leaders[one] = leaders[leaders[one]]
            one = leaders[one]
        return one

    for one, other in pairs:
        low, high = sorted((leader(one), leader(other)))
        leaders[high] = low
    members: dict[int, list[int]] = {}
    for one in sorted({one for pair in pairs for one in pair}):
        members.setdefault(leader(one), []).append(one)
    return [group for group in members.values() if len(group) > 1]


def near_duplicates(
    signatures: Signatures, places: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the pairs of pictures that are nearly the same.

    Resized, recompressed and slightly cropped copies are; other pictures of the same thing, turned
    and mirrored copies are not.

    Args:
        signatures: of all pictures.
        places: of those to compare, ascending; None is all.

    Returns:
        (pairs, 2) places, the smaller first, sorted.
    """
    places = np.arange(len(signatures)) if places is None else places
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [
            near[_same(signatures, near, pool)] for near in _candidates(signatures, places, pool)
        ]
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _same(
    signatures: Signatures, pairs: NDArray[np.int64], pool: ThreadPoolExecutor
) -> NDArray[np.bool_]:
    parts = [pairs[at : at + _PAIRS_AT_ONCE] for at in range(0, len(pairs), _PAIRS_AT_ONCE)]
    return np.concatenate(
        [np.zeros(0, np.bool_), *pool.map(lambda part: is_same(signatures, part), parts)]
    )


def _candidates(
    signatures: Signatures, places: NDArray[np.int64], pool: ThreadPoolExecutor
) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs that hash and layout let through, the smaller place first, in pieces.

    In the order of their mean brightness only neighbours need to be compared: two layouts that are
    near have means that are near.
    """
    contrast = [np.zeros(0)]
    contrast += [signatures.thumbnails[part].std(axis=(1, 2)) for part in _pieces(places)]
    places = places[np.concatenate(contrast) >= MIN_CONTRAST]
    layouts = np.concatenate(
        [np.zeros((0, 3 * GRID**2), np.float32)]
        + [_layouts(signatures, part) for part in _pieces(places)]
    )
    means = layouts[:, : GRID**2].mean(axis=1)
    order = np.argsort(means, kind="stable")
    means, places, layouts = means[order], places[order], layouts[order]
    hashes = np.concatenate(
        [np.zeros(0, np.uint64)]
        + [hash_thumbnails(signatures.thumbnails[part]) for part in _pieces(places)]
    )
    # The mean of 16 of 48 differences is at most sqrt(3) times the root mean square of all.
    stops = np.searchsorted(means, means + LAYOUT_APART * 3**0.5 + 0.1, "right")
    tasks = range(0, len(hashes), _ROWS_A_TASK)
    for some in range(0, len(tasks), _TASKS_AT_ONCE):  # not all: a task may find a million pairs
        for pairs in pool.map(
            lambda start: _alike(hashes, layouts, stops, start),
            tasks[some : some + _TASKS_AT_ONCE],
        ):
            yield np.sort(places[pairs], axis=1)


def hash_thumbnails(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the signs of the 63 lowest frequencies (DCT) of each, as the bits of an integer.

    Source: the idea of pHash (Zauner 2010), with the sign in place of the median.
    """
    position = np.arange(SIDE) + 0.5
    # Whole numbers, so that every sum is exact in float64 and the same on every machine.
    waves = np.rint(1024 * np.cos(np.pi / SIDE * np.arange(_FREQUENCIES)[:, None] * position))
    bits = np.uint64(1) << np.arange(_FREQUENCIES**2, dtype=np.uint64)
    bits[0] = 0  # the mean is above zero always
    coefficients = (waves @ thumbnails.astype(np.float64) @ waves.T).reshape(len(thumbnails), -1)
    hashes: NDArray[np.uint64] = ((coefficients > 0) * bits).sum(axis=1, dtype=np.uint64)
    return hashes


def _pieces(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut into pieces whose thumbnails, as floats, take 8 MB."""
    return [places[at : at + 1024] for at in range(0, len(places), 1024)]


def _layouts(signatures: Signatures, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (places, 48): brightness, Cr and Cb of 4 x 4 fields."""
    part = SIDE // GRID
    fields = signatures.thumbnails[places].reshape(-1, GRID, part, GRID, part)
    brightness = fields.sum(axis=(2, 4), dtype=np.uint32).astype(np.float32) / part**2
    colours = signatures.colours[places].astype(np.float32)
    return np.concatenate(
        [brightness.reshape(-1, GRID**2), colours.reshape(-1, 2 * GRID**2)], axis=1
    )


def _alike(
    hashes: NDArray[np.uint64],
    layouts: NDArray[np.float32],
    stops: NDArray[np.int64],
    start: int,
) -> NDArray[np.int64]:
    """Return the pairs of some rows with later ones that hash and layout let through."""
    apart = np.empty(_ROWS * _COLUMNS, np.uint64)  # once: making them takes as long as filling
    bits = np.empty(apart.shape, np.uint8)
    near = np.empty(apart.shape, np.bool_)
    found = [np.empty((0, 2), np.int64)]
    for top in range(start, min(start + _ROWS_A_TASK, len(hashes)), _ROWS):
        rows = hashes[top : top + _ROWS, None]
        stop = int(stops[top : top + _ROWS].max())
        for left in range(top, stop, _COLUMNS):
            columns = hashes[left : min(left + _COLUMNS, stop)]
            size, shape = rows.size * columns.size, (rows.size, columns.size)
            np.bitwise_xor(rows, columns, out=apart[:size].reshape(shape))
            np.bitwise_count(apart[:size], out=bits[:size])
            np.less_equal(bits[:size], HASH_BITS_APART, out=near[:size])
            flat = np.flatnonzero(near[:size])
            pairs = np.stack([flat // columns.size + top, flat % columns.size + left], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            # In pieces: among pictures of one kind (scans, digits) most pairs may come so far.
            for at in range(0, len(pairs), 4096):
                found.append(_with_like_layouts(layouts, pairs[at : at + 4096]))
    return np.concatenate(found)


def _with_like_layouts(layouts: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    squares = (layouts[pairs[:, 0]] - layouts[pairs[:, 1]]) ** 2
    near = squares.mean(axis=1) <= LAYOUT_APART**2
    near &= squares[:, GRID**2 :].mean(axis=1) <= COLOUR_APART**2
    kept: NDArray[np.int64] = pairs[near]
    return kept


def is_same(signatures: Signatures, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for each pair whether its thumbnails agree once one is laid onto the other."""
    tints = (signatures.colours[pairs].astype(np.float32) - 128) ** 2
    is_grey = (tints.mean(axis=(2, 3, 4)) <= GREY_LEVELS**2).any(axis=1)
    wanted = np.where(is_grey, GREY_LIKENESS, LIKENESS)
    result: NDArray[np.bool_] = likeness(signatures, pairs) >= wanted
    return result


def likeness(signatures: Signatures, pairs: NDArray[np.int64]) -> Floats:
    """Return the correlation of each pair's thumbnails, aligned by moving and scaling.

    Least squares on move, scaling, gain and offset at once, a few steps of Gauss and Newton
    (Lucas and Kanade 1981), from no move at all.
    """
    moved, fixed = (_smooth(side) for side in _ordered(signatures.thumbnails, pairs))
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) * 2 / SIDE - 1
    x, y = np.broadcast_to(axis, (SIDE, SIDE)), np.broadcast_to(axis[:, None], (SIDE, SIDE))
    warp: Floats = np.zeros((len(pairs), 4), np.float32)  # scaling and move along x, along y
    best: Floats = np.full(len(pairs), -1, np.float32)
    for step in range(_STEPS):
        laid, inside = _lay(moved, warp, axis)
        best = np.maximum(best, _correlation(laid, fixed, inside))
        if step == _STEPS - 1:
            break
        down, right = np.gradient(laid, 2 / SIDE, axis=(1, 2))
        columns = np.stack(
            [right * x, right, down * y, down, laid, np.ones_like(laid)], axis=1
        ).reshape(len(pairs), 6, -1)
        weighted = columns * inside.reshape(len(pairs), 1, -1)
        normal = weighted @ columns.transpose(0, 2, 1)
        normal += (
            np.eye(6, dtype=np.float32)
            * (1e-3 * np.einsum("pii->p", normal) / 6 + 1e-3)[:, None, None]
        )
        right_side = weighted @ fixed.reshape(len(pairs), -1, 1)
        solved = np.linalg.solve(normal, right_side)[:, :, 0]
        gain = np.maximum(solved[:, 4:5], 0.5)
        warp = np.clip(warp + solved[:, :4] / gain, -_REACH, _REACH)
    return best


def _ordered(
    thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both thumbnails of each pair, the smaller by its bytes first.

    Which is laid onto which changes the likeness a little; the order of the files may not.
    """
    one, other = (thumbnails[side].reshape(len(pairs), -1) for side in pairs.T)
    first = np.argmax(one != other, axis=1)
    row = np.arange(len(pairs))
    swap = (one[row, first] > other[row, first])[:, None]
    shape = (-1, SIDE, SIDE)
    return np.where(swap, other, one).reshape(shape), np.where(swap, one, other).reshape(shape)


def _smooth(thumbnails: NDArray[np.uint8]) -> Floats:
    """Blur, as slopes of single pixels mislead the alignment; bring to mean 0 and spread 1."""
    image: Floats = np.pad(thumbnails.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    image = (image[:, :-2] + 2 * image[:, 1:-1] + image[:, 2:]) / 4
    image = (image[:, :, :-2] + 2 * image[:, :, 1:-1] + image[:, :, 2:]) / 4
    image -= image.mean(axis=(1, 2), keepdims=True)
    image /= np.maximum(image.std(axis=(1, 2), keepdims=True), 1e-3)
    return image


def _lay(images: Floats, warp: Floats, axis: Floats) -> tuple[Floats, Floats]:
    """Sample each picture under its warp; also 1 where the place lies inside of it, else 0."""
    across, across_inside = _weights(warp[:, 0:2], axis)
    down, down_inside = _weights(warp[:, 2:4], axis)
    laid = down @ images @ across.transpose(0, 2, 1)
    return laid, down_inside[:, :, None] * across_inside[:, None, :]


def _weights(warp: Floats, axis: Floats) -> tuple[Floats, Floats]:
    """Return (pairs, 32, 32) weights that interpolate along one side."""
    place = ((1 + warp[:, :1]) * axis + warp[:, 1:] + 1) * (SIDE / 2) - 0.5
    inside = ((place > -0.5) & (place < SIDE - 0.5)).astype(np.float32)
    held = np.clip(place, 0, SIDE - 1)[:, :, None]
    weights = np.maximum(0, 1 - np.abs(held - np.arange(SIDE, dtype=np.float32)))
    return weights.astype(np.float32), inside


def _correlation(one: Floats, other: Floats, weight: Floats) -> Floats:
    total = weight.sum(axis=(1, 2), keepdims=True)
    one = one - (one * weight).sum(axis=(1, 2), keepdims=True) / total
    other = other - (other * weight).sum(axis=(1, 2), keepdims=True) / total
    product = (one * other * weight).sum(axis=(1, 2))
    norms = np.sqrt((one**2 * weight).sum(axis=(1, 2)) * (other**2 * weight).sum(axis=(1, 2)))
    result: Floats = product / np.maximum(norms, 1e-6)
    return result
