"""Mixup and CutMix: pictures of one batch mixed in pairs, and their labels with them.

Receives a batch with a row of numbers a picture, such as one-hot labels, gives one of the same
shape. The same batch and seed give the same mix.
"""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.float32]


def one_hot(labels: NDArray[np.integer], n_classes: int) -> Labels:
    """Turn (batch,) class indices to (batch, n_classes)."""
    rows: Labels = np.eye(n_classes, dtype=np.float32)[labels]
    return rows


def mixup(
    images: Images, labels: Labels, *, alpha: float, seed: int | tuple[int, ...]
) -> tuple[Images, Labels]:
    """Blend every picture with another of its batch, labels alike.

    Args:
        images: (batch, height, width, 3).
        labels: (batch, width), such as rows of shares.
        alpha: the share lambda of the first picture is drawn from Beta(alpha, alpha), anew for
            each; 0 mixes nothing.
        seed: of shares and partners.

    Source: Zhang et al. 2018, mixup: x = lambda x_i + (1 - lambda) x_j, y alike; alpha of 0.1 to
    0.4 on ImageNet.
    """
    if alpha == 0:
        return images, labels
    rng = np.random.default_rng(seed)
    partners = rng.permutation(len(images))
    shares = rng.beta(alpha, alpha, len(images)).astype(np.float32)
    mixed = np.empty_like(images)
    for row, (partner, share) in enumerate(zip(partners, shares, strict=True)):
        # One picture at a time stays in the processor's cache.
        blend = images[row] * share + images[partner] * (1 - share)
        mixed[row] = np.rint(blend)
    return mixed, _blend(labels, partners, shares)


def cutmix(
    images: Images, labels: Labels, *, alpha: float, seed: int | tuple[int, ...]
) -> tuple[Images, Labels]:
    """Paste a rectangle of another picture of the batch into every picture, labels by area.

    Args:
        images: (batch, height, width, 3).
        labels: (batch, width), such as rows of shares.
        alpha: the share lambda of the picture that stays is drawn from Beta(alpha, alpha); 0
            mixes nothing. The paper takes 1.
        seed: of shares, partners and places.

    Source: Yun et al. 2019, CutMix, equations 1 and 2: a box of sqrt(1 - lambda) of each side
    about an even point, cut to the picture; the label's share is the area that is left.
    """
    if alpha == 0:
        return images, labels
    rng = np.random.default_rng(seed)
    count, height, width = images.shape[:3]
    partners = rng.permutation(count)
    sides = np.sqrt(1 - rng.beta(alpha, alpha, count))
    centres = rng.uniform(size=(count, 2))
    mixed = images.copy()
    shares = np.empty(count, np.float32)
    for row, (partner, side, centre) in enumerate(zip(partners, sides, centres, strict=True)):
        top, bottom = _cut(centre[0], side, height)
        left, right = _cut(centre[1], side, width)
        mixed[row, top:bottom, left:right] = images[partner, top:bottom, left:right]
        shares[row] = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, _blend(labels, partners, shares)


def mix_batch(
    images: Images,
    labels: Labels,
    *,
    mixup_alpha: float,
    cutmix_alpha: float,
    seed: int | tuple[int, ...],
) -> tuple[Images, Labels]:
    """Mix by one of the two; with both parameters above 0, by either with probability one half."""
    rng = np.random.default_rng(seed)
    inner = int(rng.integers(2**31))
    if cutmix_alpha and (not mixup_alpha or rng.random() < 0.5):
        return cutmix(images, labels, alpha=cutmix_alpha, seed=inner)
    return mixup(images, labels, alpha=mixup_alpha, seed=inner)


def _blend(labels: Labels, partners: NDArray[np.int64], shares: NDArray[np.float32]) -> Labels:
    mixed: Labels = labels * shares[:, None] + labels[partners] * (1 - shares[:, None])
    return mixed


def _cut(centre: float, side: float, length: int) -> tuple[int, int]:
    """Return where a box begins and ends along one direction."""
    middle, half = centre * length, side * length / 2
    return max(0, round(middle - half)), min(length, round(middle + half))
