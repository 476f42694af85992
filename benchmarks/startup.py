"""How long a user waits for an answer that needs no TensorFlow.

    python benchmarks/startup.py FOLDER_OF_PICTURES

Whole processes, 7 runs each after one that is not counted; minimum and median.
"""

import statistics
import subprocess
import sys
import time

RUNS = 7


def main(dataset: str) -> None:
    """Print a table."""
    print("| command | minimum s | median s |\n|---|---|---|")
    for words in (["--help"], ["finetune", "--dataset", dataset, "--dry-run"],
                  ["finetune", "--dataset", "digits", "--dry-run"], ["zoo"]):  # fmt: skip
        seconds = [one_run(words) for _ in range(RUNS + 1)][1:]
        name = " ".join(words).replace(dataset, "FOLDER")
        print(f"| tl {name} | {min(seconds):.2f} | {statistics.median(seconds):.2f} |")


def one_run(words: list[str]) -> float:
    """Return the wall seconds of one process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tl.cli", *words], check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1])
