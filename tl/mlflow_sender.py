"""Send the lines of a run's journal to MLflow, each once.

How many lines the store has is noted beside the journal; a line that reached the store before that
could be noted is recognised there when it is sent again.
"""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tl.mlflow_models import log_model
from tl.written_aside import written_aside

JOURNAL = "tracking.jsonl"
PROGRESS = "tracking.sent.json"
JOURNAL_TAG = "tl.run"  # finds the run again whose id a killed sender could not note down
FOLDS_TAG = "tl.folds"  # of the parent of the runs of a cross-validation
PARAMETER_LENGTH = 6000  # MLflow cuts longer ones; the whole config is an artefact too
MOST_METRICS = 1000  # that MLflow takes at once
Event = dict[str, Any]


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
        known = json.loads(self._progress.read_text()) if self._progress.is_file() else {}
        self.run_id: str = known.get("run_id", "")
        self._sent: int = known.get("sent", 0)

    def send_new_lines(self) -> None:
        """Send every whole line that has not been sent; figures of many steps at once."""
        waiting: list[Any] = []
        for number, event in enumerate(self._events()):
            if number < self._sent:
                continue
            if event["kind"] == "metrics":
                waiting += _metrics(event)
                if len(waiting) < MOST_METRICS:
                    continue
            for start in range(0, len(waiting), MOST_METRICS):
                part = waiting[start : start + MOST_METRICS]
                self._client.log_batch(self.run_id, metrics=part)
            if event["kind"] == "metrics":
                self._note(number + 1)
            else:
                if waiting:
                    self._note(number)
                self.send(event)
                self._note(number + 1)
            waiting = []
        if waiting:
            self._client.log_batch(self.run_id, metrics=waiting)
            self._note(number + 1)

    def _note(self, sent: int) -> None:
        self._sent = sent
        with written_aside(self._progress) as aside:
            aside.write_text(json.dumps({"run_id": self.run_id, "sent": sent}))

    def _events(self) -> Iterator[Event]:
        text = (self._folder / JOURNAL).read_text(encoding="utf-8")
        for line in text.split("\n")[:-1]:  # what follows the last newline is still being written
            yield json.loads(line)

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
                if Path(event["path"]).exists():  # a run's folder may have been tidied since
                    self._client.log_artifact(self.run_id, event["path"], event["folder"] or None)
            case "image":
                self._image(event)
            case "model":
                path = Path(event["path"])
                log_model(self._client, self.run_id, event["name"], path, event["step"])
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

    def _image(self, event: Event) -> None:
        path, key = Path(event["path"]), event["key"]
        if not path.exists():
            return
        sent = f"images/{key.replace('/', '#')}%step%{event['step']}%"
        if any(one.path.startswith(sent) for one in self._client.list_artifacts(
            self.run_id, "images"
        )):  # fmt: skip
            return
        from PIL import Image

        with Image.open(path) as image:
            self._client.log_image(
                self.run_id, image.convert("RGB"), key=key, step=event["step"],
                timestamp=event["time_ms"], synchronous=True,
            )  # fmt: skip

    def _end(self, event: Event) -> None:
        self._client.set_terminated(self.run_id, event["state"], end_time=event["time_ms"])
        parent = self._client.get_run(self.run_id).data.tags.get("mlflow.parentRunId")
        if parent:
            self._sum_up(parent)

    def _begin(self, event: Event) -> str:
        """Return the run of this journal, made by a sender that was killed or made now."""
        experiment = self._experiment(event["experiment"])
        name, when = event["run_name"], event["time_ms"]
        for run in self._client.search_runs([experiment], f"tags.`{JOURNAL_TAG}` = '{name}'"):
            if run.info.start_time == when:
                return str(run.info.run_id)
        tags = {JOURNAL_TAG: name}
        if folds := event.get("folds"):
            tags["mlflow.parentRunId"] = self._parent(experiment, folds, when)
        made = self._client.create_run(experiment, start_time=when, tags=tags, run_name=name)
        return str(made.info.run_id)

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

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None if self._artifacts is None else (self._artifacts / name).as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))


def mlflow_client(uri: str) -> Any:
    """Return a client whose waiting is bounded, with MLflow's chatter turned down."""
    _bound_waiting(os.environ)
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(uri, registry_uri=uri)


def failure_words(error: BaseException) -> str:
    """Return in a line why a store did not take something, and what to do where it is known."""
    text = str(error).strip()
    if "out-of-date database schema" in text:
        return (
            "its database has the schema of another MLflow; after a backup, `mlflow db upgrade "
            "URI` brings it up to date"
        )
    return text.splitlines()[0][:300] if text else type(error).__name__


def _metrics(event: Event) -> list[Any]:
    from mlflow.entities import Metric

    when, step = event["time_ms"], event["step"]
    return [Metric(key, value, when, step) for key, value in event["values"].items()]


def _bound_waiting(environ: Any) -> None:
    """Keep an unreachable server from holding the run's end for minutes."""
    environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
