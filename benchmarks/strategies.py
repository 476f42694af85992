"""Test accuracy and time of each strategy on real photographs, as a user would run it.

    python benchmarks/strategies.py FLOWER_PHOTOS WEIGHTS_DIR [features] [last] [all]

Every row is whole `tl finetune` commands in processes of their own: 3 seeds, which also draw 3
splits; wall time includes imports, export, evaluation and MLflow.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BACKBONES = ("mobilenet_0.25", "mobilenet_v2_0.35")
STRATEGIES = ("features", "last", "all")
SEEDS = (0, 1, 2)


def main(dataset: str, weights: str, *strategies: str) -> None:
    """Print a table."""
    print("| backbone | strategy | test accuracy, mean (each seed) | wall s, median |")
    print("|---|---|---|---|")
    for backbone in BACKBONES:
        for strategy in strategies or STRATEGIES:
            runs = [one_run(dataset, weights, backbone, strategy, seed) for seed in SEEDS]
            accuracies = [accuracy for accuracy, _ in runs]
            each = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
            print(f"| {backbone} | {strategy} | {np.mean(accuracies):.3f} ({each}) | "
                  f"{np.median([seconds for _, seconds in runs]):.0f} |", flush=True)  # fmt: skip


def one_run(
    dataset: str, weights: str, backbone: str, strategy: str, seed: int
) -> tuple[float, float]:
    """Return (test accuracy of the exported model, wall seconds)."""
    words = ["finetune", "--dataset", str(Path(dataset).resolve()), "--backbone", backbone,
             "--strategy", strategy, "--seed", str(seed), "--name", "flowers"]  # fmt: skip
    environment = {**os.environ, "TL_WEIGHTS_DIR": str(Path(weights).resolve())}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tl.cli", *words],
            cwd=folder, env=environment, check=True, capture_output=True,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        manifest = Path(folder, "models/flowers/1/assets.extra/tl.json")
        return json.loads(manifest.read_text())["metrics"]["top_1_accuracy"], seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
