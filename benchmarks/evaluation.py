"""Evaluation against bare inference: what reading, measuring and intervals add.

    python benchmarks/evaluation.py MODEL DATASET [--rounds 7]

MODEL is a version's folder, DATASET labelled pictures. In turns: the SavedModel's `serving_default`
called on batches of 32 encoded files that lie in memory, and `pipelines.measured.measure`, which
reads the files, decodes on all cores and computes every metric with its interval.
"""

import argparse
import statistics
import time
from pathlib import Path

from pipelines.measured import measure
from tl.config import DataConfig
from tl.data.decode import servable_bytes
from tl.data.inspect import cache_folder
from tl.data.prepare import read_pictures
from tl.evaluation.measures import Question
from tl.evaluation.served import BATCH, load_served_model


def main() -> None:
    """Print pictures a second of both, and the ratio."""
    parser = argparse.ArgumentParser(description="Compare evaluation with bare inference.")
    parser.add_argument("model", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    import tensorflow as tf

    served = load_served_model(options.model)
    examples = list(read_pictures(options.dataset, DataConfig(), cache=cache_folder()).examples)
    files = [servable_bytes(one.read()) for one in examples]
    question = Question(
        served.manifest.get("problem", "single_label"), tuple(served.manifest["class_names"])
    )
    answer = served.loaded.signatures["serving_default"]

    def bare() -> None:
        for start in range(0, len(files), BATCH):
            answer(image_bytes=tf.constant(files[start : start + BATCH]))

    ways = {"bare": bare, "evaluation": lambda: measure(served, examples, question)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:  # the first round traces and imports
                rates[name].append(len(files) / (time.perf_counter() - began))
    for name, values in rates.items():
        print(f"{name:<12} {statistics.median(values):8.1f} pictures a second")
    ratios = [one / other for one, other in zip(rates["evaluation"], rates["bare"], strict=True)]
    print(f"ratio        {statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
