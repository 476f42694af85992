"""How many wrong labels the look for them finds, where we know which are wrong.

    TL_WEIGHTS_DIR=WEIGHTS python benchmarks/label_errors.py DATASET [--backbone B] [--share 0.05]

A share of the labels, drawn anew for every seed, is exchanged for another class's. Precision is the
share of flipped ones among those listed, recall the share of flipped ones that are listed; both of
the whole list and of its beginning, as long as there are flipped ones. Labels of the dataset that
were wrong before count against precision.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np

from pipelines.feed import make_feed
from pipelines.plan import make_plan
from pipelines.suspects import find_label_errors
from tl.config_reading import read_config


def main() -> None:
    """Print a row a seed, and the means."""
    parser = argparse.ArgumentParser(description="Find labels that were flipped on purpose.")
    parser.add_argument("dataset")
    parser.add_argument("--backbone", default="mobilenet_0.25")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    flags = {"dataset": options.dataset, "model.backbone": options.backbone}
    plan = make_plan(read_config(None, (), flags))
    assert plan.weights is not None
    print("| seed | flipped | listed | precision | recall | precision at n | recall at n |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        pictures = plan.data.pictures
        labels = pictures.examples.labels.copy()
        count = round(options.share * len(labels))
        flipped = rng.choice(len(labels), count, replace=False)
        shift = rng.integers(1, len(plan.data.class_names), count)
        labels[flipped] = (labels[flipped] + shift) % len(plan.data.class_names)
        data = replace(
            plan.data,
            pictures=replace(pictures, examples=replace(pictures.examples, labels=labels)),
        )
        found = find_label_errors(
            data, plan.backbone, plan.weights, plan.image_size, config=plan.config.data,
            feed=make_feed(plan), seed=seed,
        )  # fmt: skip
        wrong = {pictures.examples.keys[place] for place in flipped}
        hits = [one.key in wrong for one in found]
        row = (
            count, len(found), sum(hits) / max(1, len(found)), sum(hits) / count,
            sum(hits[:count]) / min(count, max(1, len(found))), sum(hits[:count]) / count,
        )  # fmt: skip
        rows.append(row)
        print(f"| {seed} | " + " | ".join(_cell(one) for one in row) + " |")
        sys.stdout.flush()
    print("| mean | " + " | ".join(_cell(float(one)) for one in np.mean(rows, axis=0)) + " |")


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"


if __name__ == "__main__":
    main()
