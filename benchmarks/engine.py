"""What the engine adds to the bare network: extraction of features, and an epoch of fine-tuning.

    python benchmarks/engine.py FLOWER_PHOTOS WEIGHTS_DIR

Each figure is a ratio of two things measured in turns in one process, as machines are noisy:

- extraction from pictures in memory, against calls of the same graph with its constants folded, and
  against Keras' own `predict_on_batch`; from JPEG files, as in the first pass; and from decoded
  pictures, as in the passes over augmented views;
- an epoch of `all` from JPEG files with augmentation, and one from decoded pictures, as all epochs
  are where they fit, against the same updates on one batch that is in memory already.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tl.augment.needed_side import needed_side
from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import Augmentation, find_recipe
from tl.classifier import build_classifier
from tl.config import DataConfig
from tl.data.batches import Feed, decoded_pictures, training_batches
from tl.data.decoded_cache import RamCache
from tl.data.prepare import read_pictures
from tl.features import BATCH, FeatureExtractor, plain_view
from tl.inference import inference_function
from tl.strategy import Phase
from tl.training.fit import compile_classifier
from tl.training.optimizer import build_optimizer
from tl.training.tuning import set_trainable
from tl.zoo.backbones import find_backbone
from tl.zoo.weights import resolve_weights

BACKBONES = ("mobilenet_0.25", "mobilenet_v2_0.35")
ROUNDS = 5
BATCHES = 6
SIZE = (224, 224)
AT_LEAST = needed_side(find_recipe("default"), SIZE)


def main(dataset: str, weights: str) -> None:
    """Print a table."""
    os.environ["TL_WEIGHTS_DIR"] = str(Path(weights).resolve())
    pictures = read_pictures(dataset, DataConfig(), cache=None).examples[: BATCHES * BATCH]
    print("| backbone | folded graph, pictures/s | extraction from memory | from JPEG files | "
          "from decoded pictures | Keras predict | updates/s of `all` in memory | epoch from JPEG "
          "files | from decoded pictures |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for name in BACKBONES:
        row = find_backbone(name)
        classifier = build_classifier(
            row,
            n_classes=5,
            image_size=SIZE,
            weights=resolve_weights(row, "auto", image_size=SIZE),
            dropout=0.2,
        )
        bare, *ways = _extraction(classifier, pictures)
        update, *epochs = _epoch(classifier, pictures)
        print(
            f"| {name} | {bare:.0f} | {' | '.join(f'{way / bare:.2f}' for way in ways)} | "
            f"{update:.2f} | {' | '.join(f'{epoch / update:.3f}' for epoch in epochs)} |",
            flush=True,
        )


def _extraction(classifier: Any, pictures: Any) -> list[float]:
    """Return pictures a second, the median of rounds in turns."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *SIZE, 3)).astype(np.uint8)
    folded = inference_function(classifier.backbone)
    extractor = FeatureExtractor(classifier.backbone)
    view, kept = plain_view(SIZE), Feed(at_least=AT_LEAST, cache=RamCache())
    ways: list[Callable[[], object]] = [
        lambda: [folded(images) for _ in range(BATCHES)],
        lambda: [extractor._run(images) for _ in range(BATCHES)],
        lambda: extractor.extract(pictures, view, feed=Feed(at_least=AT_LEAST)),
        lambda: extractor.extract(pictures, view, feed=kept),
        lambda: [classifier.backbone.predict_on_batch(images) for _ in range(BATCHES)],
    ]
    return _rates(ways, BATCHES * BATCH)


def _epoch(classifier: Any, pictures: Any) -> list[float]:
    """Return updates a second on one batch in memory, and on batches from files."""
    set_trainable(classifier, Phase(name="all", n_stages=None, epochs=1, learning_rate=1e-5), False)
    compile_classifier(
        classifier.model,
        build_optimizer(learning_rate=1e-5, total_steps=1000, warmup_steps=0, weight_decay=0.0),
    )
    colours = fit_colour_pca(decoded_pictures(pictures))
    augmentation = Augmentation("default", SIZE, colours)
    files, kept = (
        iter(training_batches(pictures, augmentation, batch_size=32, seed=0, feed=feed))
        for feed in (Feed(at_least=AT_LEAST), Feed(at_least=AT_LEAST, cache=RamCache()))
    )
    one = next(files)
    steps = 10
    for _ in range(2 * len(pictures) // 32):
        next(kept)  # until every picture is decoded

    def update(batch: Any) -> object:
        return classifier.model.train_on_batch(*batch)

    return _rates(
        [
            lambda: [update(one) for _ in range(steps)],
            lambda: [update(next(files)) for _ in range(steps)],
            lambda: [update(next(kept)) for _ in range(steps)],
        ],
        steps,
    )


def _rates(ways: list[Callable[[], object]], count: int) -> list[float]:
    seconds: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()
    for _ in range(ROUNDS):
        for taken, way in zip(seconds, ways, strict=True):
            began = time.perf_counter()
            way()
            taken.append(time.perf_counter() - began)
    return [count / float(np.median(taken)) for taken in seconds]


if __name__ == "__main__":
    keras.config.set_dtype_policy("float32")
    main(*sys.argv[1:])
