"""What a real run tells the experiment store of itself."""

import base64
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, cast

import pytest

from tests.tl.tracking.small_runs import free_port, wait_for
from tl.run_folder import read_record

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def client(trained: Any) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{trained.home / 'mlflow.db'}")


@pytest.fixture(scope="module")
def run(client: Any, trained: Any) -> Any:
    (found,) = client.search_runs([client.get_experiment_by_name("colours").experiment_id])
    return found


def test_store_has_the_resolved_config(run: Any, trained: Any) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.run_name == trained.run.name
    parameters = run.data.params
    # With paths that mean the same wherever the run goes on.
    for key, value in read_record(trained.run).config.flat().items():
        settled = ("name", "data.problem", "model.backbone", "model.image_size", "augment.recipe")
        if key not in settled:
            assert parameters[key] == str(value), key
    assert parameters["data.problem"] == "single_label"
    assert parameters["name"] == "colours"
    assert parameters["model.backbone"] == "tl_small"
    assert parameters["model.image_size"] == "32"
    assert parameters["augment.recipe"] == "default"
    assert parameters["dataset_fingerprint"] == trained.plan.data.pictures.fingerprint
    counts = trained.plan.data.counts()
    for side in ("train", "val", "test"):
        assert parameters[f"pictures.{side}"] == str(sum(counts[side].values()))


def test_store_has_every_epoch_of_every_phase_at_its_step(
    client: Any, run: Any, trained: Any
) -> None:
    records = trained.result.records
    assert {record.phase for record in records} == {"probe", "head", "fine-tune last"}
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        for phase in ("probe", "head", "fine-tune last"):
            mine = [record for record in records if record.phase == phase]
            key = f"{phase.replace(' ', '_')}.{name}"
            history = client.get_metric_history(run.info.run_id, key)
            assert [(one.step, one.value) for one in history] == [
                (record.step, pytest.approx(record.metrics[name])) for record in mine
            ], key
    steps = [record.step for record in records]
    assert steps == sorted(set(steps))


def test_store_has_the_figures_of_the_exported_model(run: Any, trained: Any) -> None:
    metrics = trained.result.exported.metrics
    for key in ("top_1_accuracy", "macro_f1", "log_loss", "n_pictures"):
        assert run.data.metrics[f"test.{key}"] == pytest.approx(metrics[key])


def test_store_has_tags_that_lead_back_to_run_and_model(run: Any, trained: Any) -> None:
    tags = run.data.tags
    assert tags["tl.saved_model"] == str(trained.version)
    assert tags["tl.run_folder"] == str(trained.run)
    assert tags["tl.backbone"] == "tl_small"
    assert tags["tl.dataset_fingerprint"] == trained.plan.data.pictures.fingerprint


def test_store_has_the_artefacts(client: Any, run: Any, trained: Any, tmp_path: Path) -> None:
    names = {one.path for one in client.list_artifacts(run.info.run_id)}

    assert names >= {
        "config.json", "split.json", "class_counts.json", "versions.json", "unreadable.json",
        "curves.png", "confusion_matrix.png", "metrics.json", "log.txt",
    }  # fmt: skip
    config = json.loads(
        Path(client.download_artifacts(run.info.run_id, "config.json", tmp_path)).read_text()
    )
    assert config["training.epochs"] == 2
    assert config["model.backbone"] == "tl_small"
    counts = json.loads(
        (trained.home / "mlartifacts" / "colours")
        .glob("*/artifacts/class_counts.json")
        .__next__()
        .read_text()
    )
    assert counts == trained.plan.data.counts()


def test_store_has_the_pictures_as_a_dataset_of_three_sides(run: Any, trained: Any) -> None:
    fingerprint = trained.plan.data.pictures.fingerprint
    contexts = {}
    for one in run.inputs.dataset_inputs:
        assert len(one.dataset.digest) <= 36
        assert one.dataset.digest.startswith(fingerprint[:28])
        assert one.dataset.name == trained.plan.data.pictures.dataset.name
        assert json.loads(one.dataset.source)["uri"] == str(trained.dataset)
        (context,) = [tag.value for tag in one.tags if tag.key == "mlflow.data.context"]
        contexts[context] = json.loads(one.dataset.profile)["n_pictures"]
    counts = trained.plan.data.side_counts()
    assert contexts == {
        "training": counts["train"], "validation": counts["val"], "testing": counts["test"]
    }  # fmt: skip


def test_store_has_tags_that_people_filter_by(run: Any, trained: Any) -> None:
    tags = run.data.tags
    record = read_record(trained.run)
    assert tags["tl.strategy"] == "last"
    assert tags["tl.device"] == record.device
    git = record.versions.get("git")  # none outside of a checkout
    if git is None:
        assert not {"mlflow.source.git.commit", "tl.git_dirty"} & set(tags)
    else:
        assert tags["mlflow.source.git.commit"] == git.removesuffix("-dirty")
        assert tags["tl.git_dirty"] == str(git.endswith("-dirty")).lower()
    assert tags["tl.headline"] == "test.top_1_accuracy"
    assert tags["mlflow.loggedImages"] == "True"


def test_store_has_intervals_and_what_the_machine_did(run: Any, trained: Any) -> None:
    metrics = run.data.metrics
    low, high = trained.result.exported.metrics["top_1_accuracy_interval"]
    assert metrics["test.top_1_accuracy.low"] == pytest.approx(low)
    assert metrics["test.top_1_accuracy.high"] == pytest.approx(high)
    for name in ("cpu_utilization_percentage", "system_memory_usage_megabytes",
                 "process_memory_megabytes", "disk_available_megabytes"):  # fmt: skip
        assert metrics[f"system/{name}"] >= 0
    assert any(name.startswith("speed.") for name in metrics)


def test_store_has_pictures_as_mlflows_own_call_names_them(
    client: Any, run: Any, tmp_path: Path
) -> None:
    """The same names but for time and random part, so that its comparison finds them."""
    from mlflow import MlflowClient
    from PIL import Image

    def shape(client: Any, run_id: str) -> list[str]:
        names = [one.path for one in client.list_artifacts(run_id, "images")]
        return sorted(re.sub(r"\d{8,}", "TIME", re.sub(UUID, "UUID", name)) for name in names)

    other = MlflowClient(f"sqlite:///{tmp_path / 'other.db'}")
    experiment = other.create_experiment("e", (tmp_path / "artefacts").as_uri())
    made = other.create_run(experiment).info.run_id
    for key in ("curves", "confusion_matrix"):
        other.log_image(made, Image.new("RGB", (8, 8)), key=key, step=0, synchronous=True)
    assert shape(client, run.info.run_id) == shape(other, made)


def test_store_has_the_pages_and_tables_of_the_run(client: Any, run: Any, trained: Any) -> None:
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    wanted = {"report.html", "model_card.md", "evaluation.json", "predictions.parquet",
              "suspects.csv"}  # fmt: skip
    assert wanted & {path.name for path in trained.run.iterdir()} == wanted & names
    assert {"report.html", "model_card.md", "evaluation.json", "predictions.parquet"} <= names


def test_model_came_out_of_the_run_and_is_a_version_of_the_registry(
    client: Any, run: Any, trained: Any
) -> None:
    (output,) = run.outputs.model_outputs
    (version,) = client.search_model_versions("name = 'colours'")
    assert output.step > 0
    assert version.run_id == run.info.run_id
    assert version.tags["tl.saved_model_version"] == trained.version.name
    assert version.tags["tl.saved_model"] == str(trained.version)
    logged = client.get_logged_model(output.model_id)
    assert version.source == logged.artifact_location
    assert str(logged.status) == "READY"
    assert logged.source_run_id == run.info.run_id
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "colours", "version": 1}]


def test_every_update_of_fine_tuning_is_told_every_half_a_second() -> None:
    from pipelines.run_facts import UPDATES_S, Recording

    told: list[tuple[dict[str, float], int]] = []

    class Tracker:
        def metrics(self, values: dict[str, float], step: int) -> None:
            told.append((dict(values), step))

    class Silent:
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments: None

    recording = Recording(Silent(), cast(Any, Tracker()), io.StringIO())
    recording.update_done("fine-tune last", 1, {"loss": 2.0})
    assert told == []
    time.sleep(UPDATES_S)
    recording.update_done("fine-tune last", 2, {"loss": 1.0})
    assert told == [({"fine-tune_last.updates.loss": 1.5}, 2)]


ASK = """
import json, sys
sys.modules["tl"] = sys.modules["keras"] = None  # cannot be imported
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
column = model.metadata.signature.inputs.inputs[0]
files = [open(path, "rb").read() for path in sys.argv[3:]]
table = model.predict(pandas.DataFrame({"image_bytes": files}))
json.dump({"signature": [column.name, str(column.type)], "labels": table["labels"].tolist(),
           "scores": table["scores"].tolist()}, sys.stdout)
"""


@pytest.mark.slow
def test_alias_answers_encoded_pictures_where_neither_tl_nor_keras_is(
    client: Any, trained: Any, served: Any, tmp_path: Path
) -> None:
    shutil.copyfile(trained.home / "mlflow.db", tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    from mlflow import MlflowClient

    MlflowClient(uri).set_registered_model_alias("colours", "champion", "1")
    paths = [trained.dataset / name / "00.jpg" for name in ("blue", "green", "red")]
    done = subprocess.run(
        [sys.executable, "-c", ASK, uri, "models:/colours@champion", *map(str, paths)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "type hint" not in done.stderr

    answer = json.loads(done.stdout)
    wanted = served.predict([path.read_bytes() for path in paths])
    assert answer["signature"] == ["image_bytes", "DataType.binary"]
    assert answer["labels"] == [[one.decode() for one in row] for row in wanted["labels"]]
    for mine, theirs in zip(answer["scores"], wanted["scores"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


@pytest.mark.slow
def test_mlflow_serves_the_model_without_an_environment_of_its_own(
    trained: Any, served: Any, tmp_path: Path
) -> None:
    port = free_port()
    path = trained.dataset / "red" / "00.jpg"
    picture = base64.b64encode(path.read_bytes()).decode()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
         "-m", "models:/colours/1", "-h", "127.0.0.1", "-p", str(port), "-w", "1"],
        cwd=tmp_path, start_new_session=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{trained.home / 'mlflow.db'}",
             "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process)
        table = {"columns": ["image_bytes"], "data": [[picture]]}
        answers = [
            ask(port, body)
            for body in ({"dataframe_split": table}, {"inputs": {"image_bytes": [picture]}})
        ]
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with the worker that it has started
        process.wait()
    wanted = served.predict([path.read_bytes()])
    for answer in answers:
        (row,) = answer["predictions"]
        assert row["labels"] == [one.decode() for one in wanted["labels"][0]]
        assert row["scores"] == pytest.approx(wanted["scores"][0], abs=1e-5)


def ask(port: int, body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error
