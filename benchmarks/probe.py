"""Linear probe of the shipped backbone against random weights and raw pixels.

    python benchmarks/probe.py FLOWER_PHOTOS FASHION_MNIST digits
    python benchmarks/probe.py FLOWER_PHOTOS --size 192
    python benchmarks/probe.py FLOWER_PHOTOS --weights another.npz

Few-shot accuracy on pictures that the backbone has not seen: 5, 20 and 100 a class to learn from,
all others to test, 5 draws. Of each class 200 pictures are taken at most. The numbers are in
docs/pretrain.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tl.data.batches import evaluation_batches
from tl.data.example import Example
from tl.data.formats.options import SourceOptions
from tl.data.inspect import cache_folder
from tl.data.sources import open_dataset
from tl.features import FeatureExtractor, plain_view
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.weights import resolve_weights

SHOTS = (5, 20, 100)
DRAWS = 5
PER_CLASS = 200
PIXELS = (32, 32)
STRENGTHS = (1e-4, 1e-3, 3e-3, 2e-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Mean accuracy over the draws, each with its best regularisation.

    Attributes:
        shots: pictures a class to learn from.
        pretrained: of the shipped weights.
        random: of the same network with random ones.
        pixels: of the pictures themselves, 32 x 32.
    """

    shots: int
    pretrained: float
    random: float
    pixels: float


def main() -> None:
    """Print a row for each dataset and number of pictures."""
    parser = argparse.ArgumentParser(description="Probe the shipped backbone.")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--size", type=int, default=find_backbone("tl_small").image_size[0])
    parser.add_argument("--weights", default="tl", help="or a file of other weights of tl_small")
    options = parser.parse_args()
    print("| pictures | a class | `tl_small` | random weights | raw pixels |")
    print("|---|---:|---:|---:|---:|")
    for dataset in options.datasets:
        results = probe_shipped_backbone(
            dataset, size=options.size, weights=options.weights, draws=DRAWS
        )
        for one in results:
            print(f"| {Path(dataset).name} | {one.shots} | {one.pretrained:.3f} | "
                  f"{one.random:.3f} | {one.pixels:.3f} |", flush=True)  # fmt: skip


def probe_shipped_backbone(
    dataset: str,
    shots: Sequence[int] = SHOTS,
    draws: int = DRAWS,
    size: int = find_backbone("tl_small").image_size[0],
    weights: str = "tl",
) -> list[ProbeResult]:
    """Measure tl_small on labelled pictures.

    Args:
        dataset: what ``--dataset`` takes; its test/ folder where it has one.
        shots: pictures a class to learn from.
        draws: of these pictures, whose accuracies are averaged.
        size: side in pixels of the backbone's input.
        weights: what ``--weights`` takes.
    """
    examples = _some(list(open_dataset(dataset, SourceOptions(cache=cache_folder()))))
    labels = np.array([example.label for example in examples])
    tables = [_features(examples, one, size) for one in (weights, "none")] + [_pixels(examples)]
    results = []
    for count in shots:
        pretrained, random, pixels = (
            few_shot_accuracy(table, labels, count, draws) for table in tables
        )
        results.append(
            ProbeResult(shots=count, pretrained=pretrained, random=random, pixels=pixels)
        )
    return results


def _some(examples: list[Example]) -> list[Example]:
    """Return 200 of each class at most, of the test pictures where there are such."""
    tested = [one for one in examples if one.side == "test"] or examples
    order = np.random.default_rng(0).permutation(len(tested))
    counts: dict[Any, int] = {}
    chosen = []
    for index in order:
        label = tested[index].label
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= PER_CLASS:
            chosen.append(tested[index])
    return chosen


def _features(examples: Sequence[Example], weights: str, size: int) -> NDArray[Any]:
    keras.utils.set_random_seed(0)
    row = find_backbone("tl_small")
    backbone = build_backbone(row, (size, size), resolve_weights(row, weights))
    table = FeatureExtractor(backbone).extract(examples, plain_view((size, size)))
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
    with threadpool_limits(1):  # the matrices are too small to share
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
    main()
