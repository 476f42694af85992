"""Mixup and CutMix on the way from the batches to the model."""

from typing import Any

import numpy as np

from tl.augment.mixing import mix_batch, one_hot


def mixed_batches(
    batches: Any,
    *,
    n_classes: int,
    mixup_alpha: float,
    cutmix_alpha: float,
    seed: int,
    first_step: int = 0,
) -> Any:
    """Return a grain.IterDataset whose batches are mixed; class indices become rows of shares.

    Batch n is mixed by (seed, n) alone, so a run that goes on at ``first_step`` sees the same.

    Args:
        batches: grain.IterDataset of (images, targets, weights), from batch ``first_step`` on.
        n_classes: of the model.
        mixup_alpha: as in `tl.augment.mixing`; 0 for none.
        cutmix_alpha: likewise.
        seed: of shares, partners and places.
        first_step: number of the first batch.
    """

    def mix(index: int, batch: Any) -> Any:
        images, targets, weights = batch
        rows = one_hot(targets, n_classes) if targets.ndim == 1 else targets
        # Rows weighted before they are mixed and divided after: the loss is the one of both
        # pictures, each with its own weight.
        weighted = np.concatenate([rows, np.ones_like(rows[:, :1])], axis=1) * weights[:, None]
        mixed, shares = mix_batch(
            images,
            weighted,
            mixup_alpha=mixup_alpha,
            cutmix_alpha=cutmix_alpha,
            seed=(seed, first_step + index),
        )
        mass = shares[:, -1:]
        return mixed, shares[:, :-1] / np.maximum(mass, 1e-12), mass[:, 0]

    return batches.map_with_index(mix)
