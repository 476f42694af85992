"""What a real run tells the experiment store of itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from tl.run_folder import read_record


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
    assert tags["mlflow.source.git.commit"]


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
