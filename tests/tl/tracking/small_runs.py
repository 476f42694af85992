"""Runs of a few lines, with every kind of fact, and what a store has of them."""

import json
import socket
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tl.journal import Journal
from tl.tracking import Tracker

NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(address: str, process: Any) -> None:
    """Wait until a server that is starting answers."""
    ends = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < ends, "the server does not answer"
            time.sleep(0.2)
        else:
            return


def offline(
    folder: Path, experiment: str, name: str = "run", folds: Mapping[str, str] | None = None
) -> Journal:
    """A journal that nothing is sent of yet."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder)
    begin = {"kind": "begin", "experiment": experiment, "run_name": name}
    journal.write({**begin, **({"folds": dict(folds)} if folds else {})})
    return journal


def write_run(tracker: Tracker, folder: Path) -> None:
    tracker.parameters({"training.epochs": 3, "long": "x" * 7000, "none": None})
    tracker.tags({"tl.model": "flowers"})
    for step in (10, 20):
        tracker.metrics({"head.loss": 1 / step}, step=step)
    (folder / "config.json").write_text("{}")
    tracker.artifact(folder / "config.json")
    tracker.artifact(folder / "config.json", "deep")


def write_whole_run(tracker: Tracker, folder: Path, model: str) -> None:
    """Facts of every kind."""
    write_run(tracker, folder)
    for side in ("train", "val"):
        facts = {"name": "pictures", "digest": f"{'f' * 28}-{side}", "source": "pictures"}
        tracker.dataset({**facts, "context": side, "profile": {"n_pictures": 3}})
    Image.new("RGB", (600, 300), (200, 40, 40)).save(folder / "curves.png")
    tracker.image(folder / "curves.png", "curves/all")
    tracker.model(write_version(folder / "models" / model / "1"), model, 20)


def write_version(folder: Path) -> Path:
    """A folder with the files of a version that logging looks at."""
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "assets.extra" / "tl.json").write_text(json.dumps({"problem": "single_label"}))
    return folder


def content(client: Any, run_id: str) -> dict[str, Any]:
    """Everything the store has of a run but its id."""
    run = client.get_run(run_id)
    return {
        "status": run.info.status,
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key.startswith("tl.")},
        "loss": [
            (one.step, one.value, one.timestamp)
            for one in client.get_metric_history(run_id, "head.loss")
        ],
        "artefacts": [one.path for one in client.list_artifacts(run_id)],
        "images": [one.path for one in client.list_artifacts(run_id, "images")],
        "datasets": sorted(one.dataset.digest for one in run.inputs.dataset_inputs),
        "models": len(run.outputs.model_outputs) if run.outputs else 0,
    }


def runs_of(client: Any, experiment: str) -> list[str]:
    found = client.get_experiment_by_name(experiment)
    return [run.info.run_id for run in client.search_runs([found.experiment_id])] if found else []


class Killed(BaseException):
    """The process of a sender ends."""


class KillingClient:
    """MLflow's client, until after so many calls that change the store the process is killed."""

    CHANGES = ("create", "log", "set", "finalize", "update", "delete")

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self.left = client, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not name.startswith(self.CHANGES):
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            answer = method(*arguments, **options)
            self.left -= 1
            if self.left == 0:
                raise Killed
            return answer

        return call
