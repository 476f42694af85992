"""What lectures say of architectures, tried on CIFAR-10: the same budget for both sides.

    KERAS_BACKEND=jax python benchmarks/lectures.py train CIFAR10_JPEG RESULTS --epochs 15 --seeds 2
    python benchmarks/lectures.py show docs/lectures.jsonl docs/lectures.svg

CIFAR10_JPEG is a folder of train/CLASS/ and test/CLASS/. Each training is a line of RESULTS as soon
as it ends, so that the same command goes on after an interruption. Any backend of Keras will do; on
two cores take few --pictures. Several workers share the trainings with --share 0/4, 1/4 and so on.
What came out is in docs/lectures.md.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tl.zoo.backbones import find_backbone
from tl.zoo.build import CLASSICS
from tl.zoo.classic.googlenet import with_auxiliary
from tl.zoo.preprocessing import scale_pixels

SIDE = 32  # pixels of CIFAR-10
CLASSES = 10
BATCH = 128
PEAK_RATE = 1e-3
WEIGHT_DECAY = 0.01
CLIP_NORM = 5.0
AUXILIARY = "googlenet+auxiliary"
"""GoogLeNet trained with its two further classifiers, measured without them."""
DROPOUT = "+dropout"
"""Ending of a network with half of what enters its fully connected layers dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Networks that differ in one thing.

    Attributes:
        title: heading; `--only` takes the number of its place.
        side: pixels that the pictures are enlarged to, so that the deepest maps are no single
            pixel.
        networks: what each is called in the plot, and its name in the zoo with, perhaps, an ending
            that a backbone cannot have.
    """

    title: str
    side: int
    networks: Mapping[str, str]


COMPARISONS = (
    Comparison(
        title="Shortcuts", side=64, networks={"plain34": "plain34", "resnet34": "resnet34"}
    ),
    Comparison(
        title="Pooling or strides", side=32,
        networks={"strides": "allconv", "max pooling": "allconv:pooling=true"},
    ),
    Comparison(
        title="Auxiliary classifiers", side=96,
        networks={"googlenet": "googlenet", "with two auxiliary": AUXILIARY},
    ),
    Comparison(
        title="Activations, 5 layers", side=32,
        networks={one: f"lenet5:activation={one}" for one in ("sigmoid", "tanh", "relu", "elu")},
    ),
    Comparison(
        title="Activations, 9 layers", side=32,
        networks={
            "sigmoid": "allconv:dropout=0,activation=sigmoid",
            "tanh": "allconv:dropout=0,activation=tanh",
            "relu": "allconv:dropout=0",
        },
    ),
    Comparison(
        title="Dropout, 9 layers", side=32,
        networks={"without": "allconv:dropout=0", "dropout": "allconv"},
    ),
    Comparison(
        title="Dropout, batch normalisation, 5 layers", side=32,
        networks={
            "neither": "lenet5:activation=relu",
            "dropout": "lenet5:activation=relu+dropout",
            "batch norm": "lenet5:activation=relu,normalisation=batch",
            "both": "lenet5:activation=relu,normalisation=batch+dropout",
        },
    ),
)  # fmt: skip

Pictures = NDArray[np.uint8]
Labels = NDArray[np.int32]


def main() -> None:
    """Train what is missing, or draw what is there."""
    parser = argparse.ArgumentParser(description="Compare architectures on CIFAR-10.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("pictures_folder", type=Path)
    train.add_argument("results", type=Path)
    train.add_argument("--epochs", type=int, default=15)
    train.add_argument("--seeds", type=int, default=2)
    train.add_argument("--pictures", type=int, default=50_000, help="of the training pictures")
    train.add_argument("--test-pictures", type=int, default=10_000, help="of the test pictures")
    train.add_argument("--precision", default="float32", help="or mixed_bfloat16")
    train.add_argument("--only", type=int, action="append", help="place of a comparison, from 0")
    train.add_argument("--machine", default="", help="what it runs on, for the results")
    train.add_argument("--share", default="0/1", help="which of how many workers this is")
    show = commands.add_parser("show")
    show.add_argument("results", type=Path)
    show.add_argument("picture", type=Path)
    options = parser.parse_args()
    if options.command == "train":
        train_missing(options)
    else:
        from comparison.curves import (  # type: ignore[import-not-found]  # beside this script
            draw_curves,
            table_of_curves,
        )

        results = read_results(options.results)
        draw_curves(COMPARISONS, results, options.picture)
        print(table_of_curves(COMPARISONS, results))


def train_missing(options: argparse.Namespace) -> None:
    """Train this worker's share of what has no result yet, all networks before the next seed."""
    keras.mixed_precision.set_global_policy(options.precision)
    training = read_pictures(options.pictures_folder / "train", options.pictures)
    test = read_pictures(options.pictures_folder / "test", options.test_pictures)
    worker, workers = (int(part) for part in options.share.split("/"))
    chosen = [COMPARISONS[place] for place in options.only or range(len(COMPARISONS))]
    sides = {name: one.side for one in chosen for name in one.networks.values()}
    known = {(one["network"], one["seed"]) for one in read_results(options.results)}
    trainings = [(name, seed) for seed in range(options.seeds) for name in sides]
    for name, seed in trainings[worker::workers]:
        if (name, seed) in known:
            continue
        facts = train_one(name, sides[name], seed, training, test, options.epochs)
        facts |= {
            "precision": options.precision,
            "backend": keras.backend.backend(),
            "machine": options.machine,
        }
        with options.results.open("a") as file:  # one write: workers do not mix their lines
            file.write(json.dumps(facts) + "\n")
        print(name, seed, facts["epochs"][-1], flush=True)


def train_one(
    name: str,
    side: int,
    seed: int,
    training: tuple[Pictures, Labels],
    test: tuple[Pictures, Labels],
    epochs: int,
) -> dict[str, Any]:
    """Train one network; return its facts and the measures of each epoch.

    AdamW, one epoch of warm-up to 1e-3 and a cosine to 0, for all networks alike: a fair budget,
    not the best recipe of each.
    """
    keras.utils.set_random_seed(seed)
    model = build(name, side)
    batches = AugmentedBatches(*training, seed)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, len(batches) * (epochs - 1), warmup_target=PEAK_RATE, warmup_steps=len(batches)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM)
    trained = with_auxiliary(model, CLASSES) if name == AUXILIARY else model
    trained.compile(optimizer, loss, metrics=["accuracy"])
    began = time.monotonic()
    rows = []
    for epoch in range(epochs):
        history = trained.fit(
            batches, initial_epoch=epoch, epochs=epoch + 1, verbose=0, shuffle=False
        ).history
        test_loss, test_accuracy = trained.evaluate(*test, batch_size=500, verbose=0)
        rows.append(
            {
                "train_loss": round(history["loss"][-1], 4),
                "train_accuracy": round(history["accuracy"][-1], 4),
                "test_loss": round(test_loss, 4),
                "test_accuracy": round(test_accuracy, 4),
            }
        )
    return {
        "network": name,
        "seed": seed,
        "side": side,
        "parameters": model.count_params(),
        "training_pictures": len(training[0]),
        "test_pictures": len(test[0]),
        "seconds": round(time.monotonic() - began, 1),
        "epochs": rows,
    }


def build(name: str, side: int) -> keras.Model:
    """Return a network from raw pixels (batch, 32, 32, 3) to logits (batch, 10)."""
    images = keras.Input((SIDE, SIDE, 3), name="image", dtype="float32")
    row = find_backbone(name.partition("+")[0])
    pixels = scale_pixels(images, row.preprocessing)
    if side > SIDE:
        pixels = keras.layers.UpSampling2D(side // SIDE, interpolation="bilinear")(pixels)
    assert row.style is not None
    style = replace(row.style, dropout=0.5) if name.endswith(DROPOUT) else row.style
    architecture = CLASSICS[str(row.classic)]
    return keras.Model(images, architecture(pixels, classes=CLASSES, style=style, **row.arguments))


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Training batches, shifted by up to 4 pixels and mirrored (Lee et al. 2015).

    Args:
        pictures: (n, 32, 32, 3).
        labels: (n,).
        seed: of order and augmentation.
    """

    def __init__(self, pictures: Pictures, labels: Labels, seed: int) -> None:
        super().__init__()
        self.padded = np.pad(pictures, ((0, 0), (4, 4), (4, 4), (0, 0)))
        self.labels = labels
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(labels))

    def __len__(self) -> int:
        """Return the batches of an epoch; what does not fill one is left out."""
        return len(self.labels) // BATCH

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Labels]:
        """Return pictures (batch, 32, 32, 3) and labels (batch,)."""
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        top, left = self.rng.integers(0, 9, (2, BATCH))
        windows = np.lib.stride_tricks.sliding_window_view(self.padded, (SIDE, SIDE), axis=(1, 2))
        views = windows[chosen, top, left].transpose(0, 2, 3, 1).astype(np.float32)
        mirrored = self.rng.random(BATCH) < 0.5
        views[mirrored] = views[mirrored, :, ::-1]
        return views, self.labels[chosen]

    def on_epoch_end(self) -> None:
        """Draw another order."""
        self.order = self.rng.permutation(len(self.labels))


def read_pictures(folder: Path, at_most: int | None = None) -> tuple[Pictures, Labels]:
    """Return pictures (n, 32, 32, 3) and labels (n,), the first of each class alike."""
    names = sorted(one.name for one in folder.iterdir() if one.is_dir())
    each = None if at_most is None else at_most // len(names)
    pictures, labels = [], []
    for label, name in enumerate(names):
        files = sorted((folder / name).iterdir())[:each]
        pictures += [np.asarray(Image.open(file).convert("RGB")) for file in files]
        labels += [label] * len(files)
    return np.stack(pictures), np.array(labels, np.int32)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the facts of every training; none where the file is not there yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
