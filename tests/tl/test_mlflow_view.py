"""The view in which MLflow shows the best run first."""

import json
from typing import Any

import pytest

from tl.mlflow_view import TAG, view_address, view_state


@pytest.mark.parametrize(
    ("headline", "ascending"), [("test.top_1_accuracy", False), ("val.mae", True)]
)
def test_best_comes_first_with_its_interval(headline: str, ascending: bool) -> None:
    state = json.loads(view_state(headline))
    assert state["orderByKey"] == f"metrics.`{headline}`"
    assert state["orderByAsc"] is ascending
    columns = state["selectedColumns"]
    assert columns[0] == f"metrics.`{headline}`"
    assert f"metrics.`{headline}.low`" in columns
    assert len(columns) == len(set(columns))


def test_address_names_the_view() -> None:
    address = view_address("http://127.0.0.1:5000/", "3")
    assert address == "http://127.0.0.1:5000/#/experiments/3/runs?viewStateShareKey=tl"


def test_a_run_leaves_the_view_and_a_note(trained: Any) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("colours")
    assert json.loads(experiment.tags[TAG])["orderByKey"] == "metrics.`test.top_1_accuracy`"
    (run,) = client.search_runs([experiment.experiment_id])
    value = trained.result.exported.metrics["top_1_accuracy"]
    assert f"top_1_accuracy {value:.4g}" in run.data.tags["mlflow.note.content"]
