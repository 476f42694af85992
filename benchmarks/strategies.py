"""Test accuracy and time of every cell of the guideline's table, and what `auto` makes of it.

    python benchmarks/strategies.py DATA WEIGHTS [NAME ...] [--seeds 3]

NAME is flowers, few_flowers (10 a class), digits, fashion or cifar10 (5,000 pictures); all of them
without one. DATA has flower_photos/, cifar10_jpeg.tar.gz and fashion_mnist/, WEIGHTS is a folder
with the file of MobileNet 0.25. Every row is a whole `tl finetune` command in a process of its own,
import, export, evaluation and MLflow included; the cell that `auto` chose is printed with the rank
that it has among the four by test accuracy, and by how much the best is better, in standard errors.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CELLS = ("features", "stages", "last", "all")
FILE = "mobilenet_2_5_224_tf_no_top.h5"
SMALL = ("--image-size", "96")
"""Pixels for pictures of 8 to 32 pixels: more cost more and show nothing more."""
CIFAR_TRAINING, CIFAR_TEST = 500, 200


@dataclass(frozen=True, slots=True)
class Run:
    """What one command gave."""

    accuracy: float
    n_pictures: int
    seconds: float
    chosen: str | None


def main() -> None:
    """Print a table a dataset."""
    parser = argparse.ArgumentParser(description="Compare the cells of the guideline's table.")
    for name in ("data", "weights"):
        parser.add_argument(name, type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the split and the training")
    options = parser.parse_args()
    data, weights, names = options.data, options.weights, options.names
    with tempfile.TemporaryDirectory() as scratch:
        datasets = {
            "flowers": ["--dataset", f"{data.resolve()}/flower_photos"],
            "few_flowers": ["--dataset", f"{data.resolve()}/flower_photos", "--shots", "10"],
            "digits": ["--dataset", "digits", *SMALL],
            "fashion": ["--dataset", f"{data.resolve()}/fashion_mnist", "--shots", "500", *SMALL],
            "cifar10": ["--dataset", f"{scratch}/cifar10", *SMALL],
        }
        if not names or "cifar10" in names:
            unpack_cifar10(data, Path(scratch, "cifar10"))
        for name in names or datasets:
            compare(name, datasets[name], (weights / FILE).resolve(), Path(scratch), options.seeds)


def compare(name: str, words: list[str], weights: Path, scratch: Path, n_seeds: int) -> None:
    """Run every cell and `auto`, and print the table."""
    print(f"\n| {name} | test accuracy, mean (each seed) | wall s, mean |\n|---|---|---|")
    runs: dict[str, list[Run]] = {}
    for strategy in (*CELLS, "auto"):
        seeds = range(n_seeds)
        runs[strategy] = [one_run(words, strategy, seed, weights, scratch) for seed in seeds]
        each = ", ".join(f"{run.accuracy:.3f}" for run in runs[strategy])
        seconds = sum(run.seconds for run in runs[strategy]) / n_seeds
        print(f"| {strategy} | {mean(runs[strategy]):.3f} ({each}) | {seconds:.0f} |", flush=True)
    ranked = sorted(CELLS, key=lambda cell: -mean(runs[cell]))
    for chosen in dict.fromkeys(str(run.chosen) for run in runs["auto"]):
        best = mean(runs[ranked[0]])
        gap = best - mean(runs[chosen])
        pictures = sum(run.n_pictures for run in runs[chosen])
        error = math.sqrt(2 * best * (1 - best) / pictures)
        print(
            f"\n`auto` chose `{chosen}`: rank {ranked.index(chosen) + 1} of {len(CELLS)}, "
            f"{100 * gap:.1f} points below the best ({gap / error:.1f} standard errors)"
        )


def mean(runs: list[Run]) -> float:
    """Return the mean accuracy."""
    return sum(run.accuracy for run in runs) / len(runs)


def one_run(words: list[str], strategy: str, seed: int, weights: Path, scratch: Path) -> Run:
    """Run a command and read what it left."""
    command = [sys.executable, "-m", "tl.cli", "finetune", *words, "--strategy", strategy,
               "--seed", str(seed), "--backbone", "mobilenet_0.25", "--weights", str(weights),
               "--name", "model"]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        # A cache of its own, so that no strategy finds the features of the one before.
        environment = {**os.environ, "TL_CACHE_DIR": f"{folder}/cache"}
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - began
        facts: Any = json.loads(Path(folder, "models/model/1/assets.extra/tl.json").read_text())
        decision = next(Path(folder, "runs").glob("*/decision.json"), None)
        chosen = json.loads(decision.read_text())["strategy"] if decision else None
    metrics = facts["metrics"]
    return Run(metrics["top_1_accuracy"], metrics["n_pictures"], seconds, chosen)


def unpack_cifar10(data: Path, folder: Path) -> None:
    """Write 5,000 training and 2,000 test pictures, always the same ones."""
    with tarfile.open(data / "cifar10_jpeg.tar.gz") as archive:
        for member in archive:
            if not member.isfile():
                continue
            *_, side, name, file = Path(member.name).parts
            if int(Path(file).stem) < (CIFAR_TRAINING if side == "train" else CIFAR_TEST):
                (folder / side / name).mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None
                (folder / side / name / file).write_bytes(source.read())


if __name__ == "__main__":
    main()
