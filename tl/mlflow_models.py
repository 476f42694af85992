"""Models in MLflow: the logged one of a run, versions of the registry, and their aliases.

Each function may be called again after it was interrupted: what is there already is found by its
tags, and nothing is doubled.
"""

import tempfile
import warnings
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

VERSION_TAG = "tl.saved_model_version"
PATH_TAG = "tl.saved_model"
_PYFUNC = Path(__file__).parent / "export" / "pyfunc_model.py"


def log_model(client: Any, run_id: str, name: str, saved_model: Path, step: int) -> None:
    """Log a SavedModel with a run, and register it as the next version of its name.

    Args:
        client: `mlflow.MlflowClient`.
        run_id: of MLflow.
        name: of the model.
        saved_model: the version's folder; its name is its number.
        step: of training, that the model is of.
    """
    number = saved_model.name
    run = client.get_run(run_id)
    tags = {VERSION_TAG: number, PATH_TAG: str(saved_model)}
    logged = _find_logged(client, run.info.experiment_id, run_id, number)
    if logged is None:
        if not saved_model.is_dir():
            return  # deleted since; the registry gets no version without a model
        logged = client.create_logged_model(
            run.info.experiment_id, name, source_run_id=run_id, tags=tags, model_type="tl"
        )
    if str(logged.status) != "READY":
        with tempfile.TemporaryDirectory(prefix="tl-model-") as scratch:
            folder = Path(scratch) / "model"
            _write_pyfunc(saved_model, folder, run_id, logged.model_id)
            client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    _link(client, run, logged.model_id, step)
    if registered_version(client, name, int(number), str(saved_model)) is None:
        _ensure_registered(client, name)
        client.create_model_version(
            name, f"models:/{logged.model_id}", run_id=run_id, tags=tags, model_id=logged.model_id
        )


def registered_version(client: Any, name: str, number: int, path: str) -> str | None:
    """Return the registry's version of a SavedModel, or None.

    Args:
        client: `mlflow.MlflowClient`.
        name: of the model.
        number: of the SavedModel's folder.
        path: of that folder: several folders of models may share a store.
    """
    found = client.search_model_versions(f"name = '{name}'")
    mine = [one for one in found if one.tags.get(VERSION_TAG) == str(number)]
    same = [one for one in mine if one.tags.get(PATH_TAG) == path]
    return str(same[0].version) if same else None


def set_alias(client: Any, name: str, alias: str, version: str) -> None:
    """Let an alias of the registry stand for a version."""
    client.set_registered_model_alias(name, alias, version)


def _find_logged(client: Any, experiment: str, run_id: str, number: str) -> Any:
    found = client.search_logged_models(
        [experiment], filter_string=f"tags.`{VERSION_TAG}` = '{number}'"
    )
    return next((one for one in found if one.source_run_id == run_id), None)


def _link(client: Any, run: Any, model_id: str, step: int) -> None:
    """Say in the run that the model came out of it."""
    from mlflow.entities import LoggedModelOutput

    outputs = getattr(run, "outputs", None)
    known = [one.model_id for one in (outputs.model_outputs if outputs else [])]
    if model_id not in known:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step)])


def _ensure_registered(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _write_pyfunc(saved_model: Path, folder: Path, run_id: str, model_id: str) -> None:
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    with warnings.catch_warnings():  # that there is no example of an input: a picture is large
        warnings.simplefilter("ignore", UserWarning)
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(_PYFUNC),
            artifacts={"saved_model": str(saved_model)},
            signature=ModelSignature(
                inputs=Schema([ColSpec("binary", "image_bytes")]), outputs=_outputs(saved_model)
            ),
            pip_requirements=[f"{name}=={installed(name)}" for name in ("mlflow", "tensorflow")],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )


def _outputs(saved_model: Path) -> Any:
    """Return the schema of the answers, read from the model's own facts."""
    import json

    from mlflow.types.schema import Array, ColSpec, Schema

    facts = json.loads((saved_model / "assets.extra" / "tl.json").read_text())
    if facts.get("problem") == "regression":
        return Schema([ColSpec("float", "outputs")])
    columns = [ColSpec(Array("string"), "labels"), ColSpec(Array("float"), "scores")]
    caution = facts.get("caution", {})
    if caution.get("abstain_below") is not None:
        columns.append(ColSpec("boolean", "abstain"))
    if caution.get("has_ood_score"):
        columns.append(ColSpec("float", "ood_score"))
    return Schema(columns)
