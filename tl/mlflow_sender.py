"""Send the lines of a run's journal to MLflow, each once.

How many lines the store has is noted beside the journal; a line that reached the store before that
could be noted is recognised there when it is sent again.
"""

import itertools
import json
import logging
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tl.journal import JOURNAL as JOURNAL
from tl.journal import Event, read_events
from tl.mlflow_models import ensure_experiment, log_model
from tl.mlflow_view import TAG as VIEW_TAG
from tl.mlflow_view import view_state
from tl.written_aside import written_aside

PROGRESS = "tracking.sent.json"
JOURNAL_TAG = "tl.run"  # finds the run again whose id a killed sender could not note down
FOLDS_TAG = "tl.folds"  # of the parent of the runs of a cross-validation
PARAMETER_LENGTH = 6000  # MLflow cuts longer ones; the whole config is an artefact too
THUMBNAIL = 256  # of pictures in lists, as MLflow makes them
TIMEOUT_KEY = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # in seconds; what the user has set counts
MOST_METRICS = 1000  # that MLflow takes at once


class MlflowSender:
    """Send journal lines in order; remember how many were taken, so that none is sent twice.

    Args:
        folder: of the run.
        uri: MLflow's tracking URI.
        artifacts: where a local store keeps files, or None to leave it to the server.
    """

    def __init__(self, folder: Path, uri: str, artifacts: Path | None) -> None:
        self._client = mlflow_client(uri)
        self._folder, self._artifacts = folder, artifacts
        self._progress = folder / PROGRESS
        known = _read_progress(self._progress, uri)
        self._uri = uri
        self.run_id: str = known.get("run_id", "")
        self._sent: int = known.get("sent", 0)
        self._place = 0  # in the journal, of the first line that was not sent
        for _, place in itertools.islice(read_events(folder), self._sent):
            self._place = place

    def send_new_lines(self) -> None:
        """Send every whole line that has not been sent; figures of many steps at once."""
        waiting: list[Any] = []
        ends = (0, 0)
        for number, (event, place) in enumerate(
            read_events(self._folder, self._place), self._sent + 1
        ):
            if event["kind"] == "metrics":
                waiting += _metrics(event)
                ends = (number, place)
                if len(waiting) >= MOST_METRICS:
                    self._send_metrics(waiting, *ends)
                    waiting = []
                continue
            if waiting:
                self._send_metrics(waiting, *ends)
                waiting = []
            self.send(event)
            self._note(number, place)
        if waiting:
            self._send_metrics(waiting, *ends)

    def _send_metrics(self, waiting: list[Any], sent: int, place: int) -> None:
        for start in range(0, len(waiting), MOST_METRICS):
            part = waiting[start : start + MOST_METRICS]
            self._client.log_batch(self.run_id, metrics=part)
        self._note(sent, place)

    def _note(self, sent: int, place: int) -> None:
        self._sent, self._place = sent, place
        with written_aside(self._progress) as aside:
            aside.write_text(json.dumps({"run_id": self.run_id, "sent": sent, "uri": self._uri}))

    def send(self, event: Event) -> None:
        """Send one line that is no metrics."""
        match event["kind"]:
            case "begin":
                self.run_id = self._begin(event)
            case "resume":  # `tl track sync` may have ended it as killed
                self._client.update_run(self.run_id, status="RUNNING")
            case "parameters":
                self._parameters(event["values"])
            case "tags":
                self._tags(event["values"])
            case "dataset":
                self._dataset(event)
            case "artifact":
                path = self._found(event["path"])
                if path is not None:  # a run's folder may have been tidied since
                    self._client.log_artifact(self.run_id, str(path), event["folder"] or None)
            case "image":
                self._image(event)
            case "model":
                path = self._found_version(Path(event["path"]))
                experiment = self._client.get_run(self.run_id).info.experiment_id
                log_model(self._client, experiment, self.run_id, event["name"], path, event["step"])
            case "end":
                self._end(event)

    def _parameters(self, values: dict[str, str]) -> None:
        from mlflow.entities import Param

        wanted = {key: value[:PARAMETER_LENGTH] for key, value in values.items()}
        known = self._client.get_run(self.run_id).data.params
        new = [Param(key, value) for key, value in wanted.items() if key not in known]
        if new:
            self._client.log_batch(self.run_id, params=new)
        # MLflow lets no parameter change; of a run that began again with others, they do.
        changed = {
            f"tl.resumed.{key}": value
            for key, value in wanted.items()
            if known.get(key, value) != value
        }
        if changed:
            self._tags(changed)

    def _tags(self, values: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(key, value) for key, value in values.items()]
        self._client.log_batch(self.run_id, tags=tags)
        if headline := values.get("tl.headline"):
            experiment = self._client.get_run(self.run_id).info.experiment_id
            self._client.set_experiment_tag(experiment, VIEW_TAG, view_state(headline))

    def _dataset(self, event: Event) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(
            name=event["name"],
            digest=event["digest"],
            source_type="local",
            source=json.dumps({"uri": event["source"]}),
            profile=json.dumps(event["profile"]),
        )
        inputs = [DatasetInput(entity, [InputTag("mlflow.data.context", event["context"])])]
        self._client.log_inputs(self.run_id, inputs)

    def _found(self, path: str) -> Path | None:
        """Return a file of the run where it lies now: its folder may have been moved or copied."""
        places = (Path(path), self._folder / Path(path).name)
        return next((one for one in places if one.exists()), None)

    def _found_version(self, path: Path) -> Path:
        """Return a version's folder: as it was named, or beside ``runs/`` where that was moved."""
        moved = self._folder.resolve().parent.parent / Path(*path.parts[-3:])
        return moved if moved.is_dir() and not path.is_dir() else path

    def _image(self, event: Event) -> None:
        path, key = self._found(event["path"]), event["key"]
        if path is None:
            return
        # As `MlflowClient.log_image` names them, but for its random part: sent again, a picture
        # takes its own place.
        name = f"{key.replace('/', '~')}+step+{event['step']}+timestamp+{event['time_ms']}"
        name += f"+{uuid.uuid5(uuid.NAMESPACE_URL, name)}"
        from PIL import Image

        with Image.open(path) as image, tempfile.TemporaryDirectory(prefix="tl-image-") as scratch:
            picture = image.convert("RGB")
            picture.save(Path(scratch, f"{name}.png"))
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            picture.save(Path(scratch, f"{name}+compressed.webp"))
            self._client.log_artifacts(self.run_id, scratch, "images")
        self._tags({"mlflow.loggedImages": "True"})

    def _end(self, event: Event) -> None:
        self._client.set_terminated(self.run_id, event["state"], end_time=event["time_ms"])
        run = self._client.get_run(self.run_id)
        self._remove_twins(run)
        if parent := run.data.tags.get("mlflow.parentRunId"):
            self._sum_up(parent)

    def _begin(self, event: Event) -> str:
        """Return the run of this journal, made by a sender that was killed or made now."""
        experiment = ensure_experiment(self._client, event["experiment"], self._artifacts)
        name, when = event["run_name"], event["time_ms"]
        if twins := self._twins(experiment, name, when):
            return twins[0]
        tags = {JOURNAL_TAG: name}
        if folds := event.get("folds"):
            tags["mlflow.parentRunId"] = self._parent(experiment, folds, when)
        made = self._client.create_run(experiment, start_time=when, tags=tags, run_name=name)
        return str(made.info.run_id)

    def _twins(self, experiment: str, name: str, when: int) -> list[str]:
        """Return the runs of this journal: of a server so slow that it was asked again, several."""
        found = self._client.search_runs([experiment], f"tags.`{JOURNAL_TAG}` = '{name}'")
        return sorted(run.info.run_id for run in found if run.info.start_time == when)

    def _remove_twins(self, run: Any) -> None:
        name = run.data.tags.get(JOURNAL_TAG)
        for twin in self._twins(run.info.experiment_id, name, run.info.start_time):
            if twin != run.info.run_id:
                self._client.delete_run(twin)

    def _parent(self, experiment: str, folds: dict[str, str], when: int) -> str:
        """Return the run that those of a cross-validation lie below."""
        query = f"tags.`{FOLDS_TAG}` = '{folds['digest']}'"
        found = self._client.search_runs([experiment], query, order_by=["attributes.start_time"])
        if found:
            return str(found[0].info.run_id)
        tags = {FOLDS_TAG: folds["digest"]}
        made = self._client.create_run(
            experiment, start_time=when, tags=tags, run_name=folds["name"]
        )
        return str(made.info.run_id)

    def _sum_up(self, parent: str) -> None:
        """Write means and deviations over the finished folds into their parent."""
        import statistics

        from mlflow.entities import Metric

        run = self._client.get_run(parent)
        children = self._client.search_runs(
            [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
        )
        finished = [one for one in children if one.info.status == "FINISHED"]
        if not finished:
            return
        when = max(one.info.end_time for one in finished)
        figures: list[Any] = []
        for key in finished[0].data.metrics:
            values = [one.data.metrics[key] for one in finished if key in one.data.metrics]
            if not key.startswith(("test.", "val.")) or len(values) < len(finished):
                continue
            figures.append(Metric(key, statistics.fmean(values), when, len(finished)))
            if len(values) > 1:
                deviation = statistics.stdev(values)
                figures.append(Metric(f"{key}.deviation", deviation, when, len(finished)))
        figures.append(Metric("folds_finished", len(finished), when, len(finished)))
        self._client.log_batch(parent, metrics=figures[:MOST_METRICS])
        self._client.set_terminated(parent, "FINISHED", end_time=when)


def _read_progress(path: Path, uri: str) -> dict[str, Any]:
    """Return what a store was sent; nothing where that is another store, or cannot be read.

    Sending everything again doubles nothing.
    """
    try:
        known: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if known.get("uri", uri) == uri else {}


def mlflow_client(uri: str) -> Any:
    """Return a client whose waiting is bounded, with MLflow's chatter turned down."""
    _bound_waiting(os.environ)
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # What fails is an exception, too, and said in a line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return MlflowClient(uri, registry_uri=uri)


def failure_words(error: BaseException) -> str:
    """Return in a line why a store did not take something, and what to do where it is known."""
    text = str(error).strip()
    if "out-of-date database schema" in text:
        return (
            "its database has the schema of another MLflow; after a backup, `mlflow db upgrade "
            "URI` brings it up to date"
        )
    if "Read timed out" in text or "ReadTimeoutError" in text:
        return "the server took the request and did not answer in time"
    if "NewConnectionError" in text or "ConnectTimeoutError" in text:
        return "nothing answers at that address"
    if found := re.search(r"too many (\d+) error responses", text):
        return f"the server answers with error {found[1]}"
    return text.splitlines()[0][:300] if text else type(error).__name__


def _metrics(event: Event) -> list[Any]:
    from mlflow.entities import Metric

    when, step = event["time_ms"], event["step"]
    return [Metric(key, value, when, step) for key, value in event["values"].items()]


def _bound_waiting(environ: Any) -> None:
    """Keep an unreachable server from holding others for minutes, but bear with a slow one."""
    environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    environ.setdefault(TIMEOUT_KEY, "40")
