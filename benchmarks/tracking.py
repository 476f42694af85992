"""What logging costs a run, and how quick `tl runs` is at ten thousand runs.

    python benchmarks/tracking.py            # about two minutes

A short run: what it waits for the store, all kinds of facts and a model of 20 MB included. A long
one: a figure every half a second for a minute, behind an hour's worth of journal; the share is
processor time of all that logs, and what the training thread itself waits.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

RUNS = 10_000
SECONDS = 60.0
EVERY_S = 0.5
EARLIER = 7_200  # figures of an hour
MEGABYTE = 1_000_000


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        print("| what | figure |\n|---|---|", flush=True)
        for name, value in {
            **measure_list(Path(folder, "list")),
            **measure_run(Path(folder, "run")),
        }.items():
            print(f"| {name} | {value} |", flush=True)


def measure_list(home: Path) -> dict[str, str]:
    """Return seconds of `tl runs` as a process: with no index, and with one."""
    from tl.config import RunConfig

    config = RunConfig(dataset="flowers").to_dict()
    for number in range(RUNS):
        metrics = {"top_1_accuracy": number / RUNS, "n_pictures": 100}
        metrics |= {f"figure_{one}": 0.5 for one in range(15)}
        facts = {
            "id": f"{number:05}", "name": "flowers", "state": "finished", "backbone": "tl_small",
            "fingerprint": "f" * 32, "problem": "single_label", "config": config,
            "class_names": [f"class {one}" for one in range(100)],
            "outcome": {
                "saved_model": f"/models/flowers/{number + 1}", "measured_on": "test",
                "headline": "top_1_accuracy", "metrics": metrics, "interval": [0.4, 0.6],
            },
        }  # fmt: skip
        run = home / "runs" / facts["id"]
        run.mkdir(parents=True)
        (run / "run.json").write_text(json.dumps(facts, indent=2))
    ways = {
        "first, without an index": [],
        "again": [],
        "again, sorted by the headline": ["--sort", "value"],
        "again, filtered by a metric": ["--where", "top_1_accuracy>0.99"],
    }
    return {f"tl runs of {RUNS:,} runs, {way}": timed(home, words) for way, words in ways.items()}


def timed(home: Path, words: list[str]) -> str:
    """Return the seconds of a command."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "tl.cli", "runs", *words], cwd=home, check=True,
        stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return f"{time.perf_counter() - began:.2f} s"


def measure_run(home: Path) -> dict[str, str]:
    """Return what a short run waits and what a long one gives."""
    from tl.journal import Journal
    from tl.mlflow_sender import mlflow_client
    from tl.tracking import JournalTracker, Store

    home.mkdir(parents=True)
    store = Store(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")
    began = time.perf_counter()
    mlflow_client(store.uri).search_experiments()
    made = time.perf_counter() - began

    folder = home / "short"
    folder.mkdir()
    waited = 0.0
    tracker = JournalTracker(folder, store, "short", "run")
    for task in facts_of_all_kinds(tracker, folder):
        began = time.perf_counter()
        task()
        waited += time.perf_counter() - began
    began = time.perf_counter()
    tracker.finish("FINISHED")
    ended = time.perf_counter() - began

    folder = home / "long"
    folder.mkdir()
    before = Journal(folder)
    before.write({"kind": "begin", "experiment": "long", "run_name": "run"})
    for step in range(EARLIER):
        before.metrics({"updates.loss": 1.0, "updates.accuracy": 0.5}, step)
    before.close()
    tracker = JournalTracker(folder, store, "long", "run")
    time.sleep(10)  # in which it sends what was there
    blocked, cpu, began = 0.0, time.process_time(), time.perf_counter()
    step = EARLIER
    while time.perf_counter() - began < SECONDS:
        told = time.perf_counter()
        tracker.metrics({"updates.loss": 1.0, "updates.accuracy": 0.5}, step)
        blocked += time.perf_counter() - told
        step += 1
        time.sleep(EVERY_S)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    tracker.finish("FINISHED")
    return {
        "MLflow imported and its first store made, beside the training": f"{made:.1f} s",
        "short run, waited in its calls": f"{1000 * waited:.1f} ms",
        "short run, waited at its end": f"{ended:.1f} s",
        "long run, processor time of logging": f"{100 * cpu / wall:.2f} %",
        "long run, training waited": f"{100 * blocked / wall:.4f} %",
    }


def facts_of_all_kinds(tracker: Any, folder: Path) -> list[Any]:
    """Return calls, for what a run tells."""
    Image.effect_noise((1200, 900), 80).save(folder / "curves.png")
    (folder / "report.html").write_bytes(os.urandom(3 * MEGABYTE))
    version = folder / "models" / "short" / "1"
    (version / "assets.extra").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(os.urandom(20 * MEGABYTE))
    (version / "assets.extra" / "tl.json").write_text('{"problem": "single_label"}')
    figures = {f"test.figure_{number}": 0.5 for number in range(60)}
    return [
        lambda: tracker.parameters({f"setting.{number}": number for number in range(80)}),
        lambda: tracker.tags({f"tl.tag_{number}": "x" for number in range(15)}),
        *[lambda step=step: tracker.metrics({"loss": 1.0}, step) for step in range(100)],
        *[lambda: tracker.artifact(folder / "report.html") for _ in range(10)],
        *[lambda key=key: tracker.image(folder / "curves.png", key) for key in ("a", "b")],
        lambda: tracker.metrics(figures, 100),
        lambda: tracker.model(version, "short", 100),
    ]


if __name__ == "__main__":
    main()
