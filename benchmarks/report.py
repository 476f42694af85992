"""How long the report takes, and how large it is, with many test pictures and many classes.

    python benchmarks/report.py PHOTOS FOLDER [--pictures 10000] [--classes 20 1000]

PHOTOS is a folder of JPEGs. FOLDER is made: a dataset of as many test pictures, each the bytes of a
photo and a number, and a run's folder with answers that are made up, three of four right, and
measured as those of a model are. What is timed is `tl report` without the reading of the dataset,
which a run has read already.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from pipelines.report import write_report
from pipelines.suspects import SuspectRow, write_suspects
from tl.config import DataConfig, RunConfig
from tl.data.prepare import PreparedData, prepare_data
from tl.evaluation.calibration import reliability
from tl.evaluation.curves import class_curves
from tl.evaluation.measures import MEASURES, Question
from tl.evaluation.predictions import PREDICTIONS, Predictions, write_predictions
from tl.run_folder import RunRecord, write_record


def write_dataset(photos: Path, folder: Path, n_pictures: int, n_classes: int) -> None:
    """Write the test pictures, and two of each class on the other sides."""
    files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]
    for side, count in (("train", 2 * n_classes), ("val", n_classes), ("test", n_pictures)):
        for number in range(count):
            label = number % n_classes
            path = folder / side / f"class {label:04}" / f"{side}{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[number % len(files)] + f"{side}{number}".encode())


def made_answers(data: PreparedData) -> Predictions:
    """Return answers for the test pictures."""
    places = data.places("test")
    some = data.pictures.examples.take(places)
    names = data.class_names
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(len(some), len(names)))
    taken_for = np.where(
        rng.random(len(some)) < 0.75, some.labels, rng.integers(0, len(names), len(some))
    )
    logits[np.arange(len(some)), taken_for] += 6
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        problem="single_label", class_names=names, side="test",
        keys=[str(key) for key in some.keys],
        identities=[str(data.pictures.identities[place]) for place in places.tolist()],
        truth=some.labels.astype(np.int64), answers=answers.astype(np.float32),
    )  # fmt: skip


def write_run(run: Path, dataset: Path, data: PreparedData) -> None:
    """Write what a run leaves behind."""
    run.mkdir()
    answers = made_answers(data)
    names = data.class_names
    record = RunRecord(
        id=run.name, name="many", config=RunConfig(dataset=str(dataset)), backbone="mobilenet_v2",
        weights={"source": "none", "sha256": None}, image_size=(224, 224), class_names=names,
        fingerprint=data.pictures.fingerprint,
        class_counts={side: data.side(side).class_counts() for side in ("train", "val", "test")},
        order="", device="none", versions={},
    )  # fmt: skip
    write_record(run, record)
    write_predictions(answers, run / PREDICTIONS)
    metrics = MEASURES["single_label"].metrics(
        answers.answers, answers.truth, Question("single_label", names), None
    )
    bins = reliability(answers.confidence, answers.right)
    facts = {
        "measured_on": "test",
        "metrics": metrics,
        "curves": class_curves(answers.answers, answers.truth, names),
        "reliability": [
            {"confidence": float(bins.confidence[one]), "accuracy": float(bins.accuracy[one])}
            for one in np.flatnonzero(bins.counts).tolist()
        ],
    }
    (run / "evaluation.json").write_text(json.dumps(facts, indent=2))
    suspects = [
        SuspectRow(key, identity, "test", names[0], names[1], 0.9)
        for key, identity in zip(answers.keys[:500], answers.identities[:500], strict=True)
    ]
    write_suspects(suspects, run / "suspects.csv")


def main() -> None:
    """Print a row for each number of classes."""
    parser = argparse.ArgumentParser(description="Time and size of the report.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--classes", type=int, nargs="+", default=[20, 1000])
    options = parser.parse_args()
    print("| test pictures | classes | seconds | MB | pictures shown |")
    print("|---|---|---|---|---|")
    for n_classes in options.classes:
        dataset = options.folder / f"pictures-{options.pictures}-{n_classes}"
        write_dataset(options.photos, dataset, options.pictures, n_classes)
        data = prepare_data(str(dataset), DataConfig(), seed=0, cache=None)
        run = options.folder / f"run-{options.pictures}-{n_classes}"
        write_run(run, dataset, data)
        began = time.perf_counter()
        page = write_report(run, data)
        seconds = time.perf_counter() - began
        text = page.read_text()
        megabytes = len(text.encode()) / 1e6
        print(
            f"| {options.pictures:,} | {n_classes} | {seconds:.1f} | {megabytes:.2f} "
            f"| {text.count('<img')} |"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


if __name__ == "__main__":
    main()
