"""How much memory a training takes as its dataset grows.

    python benchmarks/memory.py [COUNT ...]

Draws COUNT synthetic pictures of ten classes (1,000, then 100,000 without one), and runs a whole
`tl finetune` over each set, head, augmented views and one epoch of all layers, in a process of its
own. What the smallest set takes is the need of libraries and model; the last column is what more
pictures add to it. The aim is 2 GB for 100,000.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNTS = (1_000, 100_000)
CLASSES = 10
SIDE = 32
# In a process of its own: memory that this one had taken would count for its children.
DRAW = f"""
import sys
import cv2
import numpy as np
from pathlib import Path
folder, count = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
colours = rng.integers(0, 256, ({CLASSES}, 3))
for label in range({CLASSES}):
    (folder / f"class_{{label}}").mkdir(parents=True)
for number in range(count):
    label = number % {CLASSES}
    coarse = np.clip(colours[label] + rng.normal(0, 60, (4, 4, 3)), 0, 255).astype(np.uint8)
    picture = cv2.resize(coarse, ({SIDE}, {SIDE}), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / f"class_{{label}}" / f"{{number:06}}.png"), picture)
"""


def main(*counts: str) -> None:
    """Print a table."""
    print("| pictures | wall s | peak MB | above the first MB |\n|---|---|---|---|")
    first = None
    for count in [int(one) for one in counts] or COUNTS:
        seconds, peak = train(count)
        first = peak if first is None else first
        print(f"| {count:,} | {seconds:.0f} | {peak:.0f} | {peak - first:.0f} |", flush=True)


def train(count: int) -> tuple[float, float]:
    """Return seconds and peak MB of the training, processes that it starts included."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch, "pictures")
        subprocess.run([sys.executable, "-c", DRAW, str(pictures), str(count)], check=True)
        words = ["finetune", "--dataset", str(pictures), "--backbone", "tl_small", "--strategy",
                 "all", "--epochs", "1", "--image-size", str(SIDE), "--name", "drawn"]  # fmt: skip
        began = time.perf_counter()
        with Path(scratch, "log").open("w") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "tl.cli", *words], cwd=scratch, stdout=log, stderr=log,
                env={**os.environ, "TL_CACHE_DIR": f"{scratch}/cache"},
            )  # fmt: skip
            _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(Path(scratch, "log").read_text()[-2000:])
        return time.perf_counter() - began, peak_mb(usage)


def peak_mb(usage: resource.struct_rusage) -> float:
    """Return the largest resident size; Linux counts it in KiB, macOS in bytes."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main(*sys.argv[1:])
