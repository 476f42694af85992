"""A certificate that a version answers alike wherever it runs.

The same encoded pictures go through the trained Keras network with tl's own decoder, through the
SavedModel in a fresh process that knows neither tl nor Keras, and through a real server over
REST and gRPC. What differs by more than a bound is not exported.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.caution import Onlooker
from pipelines.parity_process import MODEL
from serving.client import Client
from serving.errors import ServingError
from tl.data.decode import NO_LIMIT, decode_picture, servable_bytes
from tl.data.example import Dataset
from tl.data.prepare import PreparedData
from tl.errors import DatasetError, ExportError
from tl.evaluation.calibration import probabilities_of
from tl.evaluation.caution import Caution
from tl.export.graph import TOP_K
from tl.run_folder import RunRecord

SERVED_BOUND = 1e-3
"""Between the SavedModel and a server: batches of other sizes change the last digits."""
TRAINED_BOUND = 0.02
"""Between tl's decoder with Keras and the graph: pixels may differ by a level."""
START_S = 180.0
Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two ways answer.

    Attributes:
        largest_difference: of a score, or of a value relative to the values' spread.
        top_1_agreement: share of the pictures with the same best label; 1 for values.
    """

    largest_difference: float
    top_1_agreement: float


class ParityCheck:
    """The fresh process, started as soon as there is a SavedModel, and looked at later.

    Args:
        version: folder of the SavedModel.
        examples: pictures; those that cannot be read are left out.
        record: of the run.
    """

    def __init__(self, version: Path, examples: Dataset, record: RunRecord) -> None:
        self._record = record
        self._examples, self._files = _readable(examples)
        self._folder = Path(tempfile.mkdtemp(prefix="tl-parity-"))
        base, pictures = self._folder / MODEL, self._folder / "pictures"
        base.mkdir()
        pictures.mkdir()
        (base / "1").symlink_to(version.absolute())
        for number, file in enumerate(self._files):
            (pictures / f"{number:06}").write_bytes(file)
        self._answers = self._folder / "answers.npz"
        self._log = self._folder / "log.txt"
        self._lines: list[str] = []  # of stdout, where the addresses come once it is ready
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.parity_process", base, pictures, self._answers],
                stdout=subprocess.PIPE, stderr=log, text=True,
                # This process may hold all memory of the GPU.
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.append(line.rstrip())

    def finish(self, onlooker: Onlooker, caution: Caution) -> dict[str, Any]:
        """Wait for the process, ask its server, and compare.

        Args:
            onlooker: at the network that was trained.
            caution: that was exported with it.

        Returns:
            The certificate: largest difference and agreement of each way, and the bounds.

        Raises:
            ExportError: a difference above the bound, or no answer.
        """
        seen = onlooker.at_examples(self._examples)
        trained = _as_served(seen.logits, caution, self._record)
        try:
            rest, grpc = self._addresses()
            with np.load(self._answers) as stored:
                alone = dict(stored)
            ways = {
                "keras": compare(trained, alone),
                "rest": compare(self._ask(f"{rest}/{MODEL}"), alone),
                "grpc": compare(self._ask(f"grpc://{grpc}/{MODEL}"), alone),
            }
        finally:
            self.close()
        certificate = {
            "n_pictures": len(self._files),
            "reference": "the SavedModel in a process without tl and Keras",
            "bound": {"keras": TRAINED_BOUND, "rest": SERVED_BOUND, "grpc": SERVED_BOUND},
            **{
                name: {
                    "largest_score_difference": one.largest_difference,
                    "top_1_agreement": one.top_1_agreement,
                }
                for name, one in ways.items()
            },
        }
        refuse_disparity(ways, self._record.id)
        return certificate

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
        self._process.wait()
        self._reader.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _addresses(self) -> tuple[str, str]:
        """Return the URL of REST and the address of gRPC, once the server is ready."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            text = "\n".join(self._lines)
            rest = re.search(r"REST +(http://\S+)", text)
            grpc = re.search(r"gRPC +(\S+:\d+)", text)
            if rest and grpc and self._answers.is_file():
                return rest[1].rstrip(","), grpc[1].rstrip(",")
            if self._process.poll() is not None:
                said = self._log.read_text().strip().splitlines()
                last = said[-1] if said else "it said nothing"
                raise ExportError(
                    "the exported model could not be loaded and served in a fresh process, so it "
                    f"was not published: {last}"
                )
            time.sleep(0.05)
        raise ExportError(
            f"the exported model was not served within {START_S:.0f} s in a fresh process, so it "
            "was not published; {_without(self._record.id)}"
        )

    def _ask(self, url: str) -> Answers:
        try:
            with Client(url, timeout_s=60.0, retries=5) as client:
                answers: Answers = client.predict(self._files)
        except ServingError as error:
            raise ExportError(
                f"the exported model does not answer over {url.partition(':')[0]}, so it was not "
                f"published: {error}"
            ) from error
        return answers


@contextlib.contextmanager
def started_check(
    version: Path, record: RunRecord, data: PreparedData
) -> Iterator["ParityCheck | None"]:
    """Give a check of a version whose process ends with the block; None where none is asked for.

    Args:
        version: folder of the SavedModel.
        record: of the run.
        data: its pictures; test pictures are taken first.
    """
    wanted = record.config.evaluation.parity
    order = np.concatenate([data.places(side) for side in ("test", "val", "train")])
    examples = data.pictures.examples.take(order[:wanted])
    if not len(examples):
        yield None
        return
    check = ParityCheck(version, examples, record)
    try:
        yield check
    finally:
        check.close()


def compare(one: Answers, other: Answers) -> Agreement:
    """Compare what two ways said of the same pictures."""
    if "outputs" in one:
        first, second = (np.asarray(way["outputs"], np.float64).ravel() for way in (one, other))
        unit = max(float(np.std(second)), 1e-9)
        return Agreement(float(np.abs(first - second).max() / unit), 1.0)
    largest, same = 0.0, 0
    for mine, scores, others, their_scores in zip(
        one["labels"], one["scores"], other["labels"], other["scores"], strict=True
    ):
        said = dict(zip(map(_text, mine), map(float, scores), strict=True))
        theirs = dict(zip(map(_text, others), map(float, their_scores), strict=True))
        shared = said.keys() & theirs.keys()
        # A label that only one way names has, the other way, at most the lowest score named.
        gaps = [abs(said[label] - theirs[label]) for label in shared]
        gaps += [said[label] - min(theirs.values()) for label in said.keys() - shared]
        gaps += [theirs[label] - min(said.values()) for label in theirs.keys() - shared]
        largest = max(largest, *gaps)
        same += next(iter(said)) == next(iter(theirs))
    return Agreement(largest, same / max(1, len(one["labels"])))


def refuse_disparity(ways: Mapping[str, Agreement], run: str = "RUN") -> None:
    """Refuse a model that answers otherwise where it is served.

    Args:
        ways: what was compared with the SavedModel.
        run: id, for the way to export nevertheless.

    Raises:
        ExportError: with the way, the difference and the bound.
    """
    for name, way in ways.items():
        bound = TRAINED_BOUND if name == "keras" else SERVED_BOUND
        if way.largest_difference > bound:
            raise ExportError(
                f"the SavedModel and {name} differ by {way.largest_difference:.2g} in a score, "
                f"more than {bound:g}, so it was not published. Please report this; "
                f"{_without(run)}"
            )


def _without(run: str) -> str:
    return f"`tl export {run} --set evaluation.parity=0` publishes it without this check"


def _readable(examples: Dataset) -> tuple[Dataset, list[bytes]]:
    files, places = [], []
    for place in range(len(examples)):
        with contextlib.suppress(DatasetError):
            data = examples[place].read()
            decode_picture(data, NO_LIMIT)
            files.append(servable_bytes(data))
            places.append(place)
    return examples.take(np.array(places, np.int64)), files


def _as_served(logits: NDArray[np.floating[Any]], caution: Caution, record: RunRecord) -> Answers:
    """Return what the network says in the way the graph does."""
    if record.problem == "regression":
        return {"outputs": logits[:, 0]}
    probabilities = probabilities_of(logits, record.problem, caution.temperature)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_K]
    names = np.array(record.class_names)
    return {"labels": names[best], "scores": np.take_along_axis(probabilities, best, axis=1)}


def _text(label: Any) -> str:
    return label.decode() if isinstance(label, bytes) else str(label)
