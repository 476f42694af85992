"""Models in MLflow: the logged one of a run, versions of the registry, and their aliases.

Each function may be called again after it was interrupted: what is there already is found by its
tags, and nothing is doubled.
"""

import json
import tempfile
import warnings
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

LABEL_TAG = "tl.label"
VERSION_TAG = "tl.saved_model_version"
PATH_TAG = "tl.saved_model"
REGISTERED_TAG = "mlflow.modelVersions"
_PYFUNC = Path(__file__).parent / "export" / "pyfunc_model.py"


def log_model(
    client: Any, experiment: str, run_id: str | None, name: str, saved_model: Path, step: int = 0
) -> str | None:
    """Log a SavedModel, with its run where there is one, and register it as the next version.

    Args:
        client: `mlflow.MlflowClient`.
        experiment: its id.
        run_id: of MLflow, or None where the model is of a run elsewhere.
        name: of the model.
        saved_model: the version's folder; its name is its number.
        step: of training, that the model is of.

    Returns:
        The registry's version; None where the folder has been deleted, as the registry gets no
        version without a model.
    """
    number, path = saved_model.name, str(saved_model)
    tags = {VERSION_TAG: number, PATH_TAG: path}
    logged = _find_logged(client, experiment, run_id, number)
    if logged is None:
        if not saved_model.is_dir():
            return None
        logged = client.create_logged_model(
            experiment, name, source_run_id=run_id, tags=tags, model_type="tl"
        )
    if str(logged.status) != "READY":
        if not saved_model.is_dir():
            return None
        with tempfile.TemporaryDirectory(prefix="tl-model-") as scratch:
            folder = Path(scratch) / "model"
            _write_pyfunc(saved_model, folder, run_id, logged.model_id)
            client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
    if run_id is not None:
        _link(client, run_id, logged.model_id, step)
    mine = [one for one in _versions_of(client, name, number, path) if one.run_id == run_id]
    if not mine:
        _ensure_registered(client, name)
        # Not ``models:/...``, which SQL stores look up in the store that is the process's default.
        client.create_model_version(
            name, logged.artifact_location, run_id=run_id, tags=tags,
            model_id=logged.model_id if run_id else None,  # else it is looked up there, too
        )  # fmt: skip
        mine = [one for one in _versions_of(client, name, number, path) if one.run_id == run_id]
        for twin in mine[1:]:  # of a server so slow that it was asked again
            client.delete_model_version(name, twin.version)
    # By which MLflow's page of the model leads to the registry.
    registered = json.dumps([{"name": name, "version": int(mine[0].version)}])
    if logged.tags.get(REGISTERED_TAG) != registered:
        client.set_logged_model_tags(logged.model_id, {REGISTERED_TAG: registered})
    return str(mine[0].version)


def registered_version(
    client: Any, name: str, number: int, path: str, run_id: str | None = None
) -> str | None:
    """Return the registry's version of a SavedModel, or None.

    Where a version was deleted and another run took its number, the newer one.

    Args:
        client: `mlflow.MlflowClient`.
        name: of the model.
        number: of the SavedModel's folder.
        path: of that folder: several folders of models may share a store.
        run_id: of the run that it is of, which finds it after its folder was moved; or None.
    """
    same = _versions_of(client, name, str(number), path, run_id)
    return str(same[-1].version) if same else None


def ensure_experiment(client: Any, name: str, artifacts: Path | None) -> str:
    """Return the id of an experiment, made where it is missing.

    Args:
        client: `mlflow.MlflowClient`.
        name: of the experiment.
        artifacts: where a local store keeps files, or None to leave it to the server.
    """
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    from mlflow.exceptions import MlflowException

    location = None if artifacts is None else (artifacts / name).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # made by another run meanwhile
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def _versions_of(
    client: Any, name: str, number: str, path: str, run_id: str | None = None
) -> list[Any]:
    same = [
        one
        for one in client.search_model_versions(f"name = '{name}'")
        if one.tags.get(VERSION_TAG) == number
        and (one.tags.get(PATH_TAG) == path or (run_id and one.run_id == run_id))
    ]
    return sorted(same, key=lambda one: int(one.version))


def set_alias(client: Any, name: str, alias: str, version: str) -> None:
    """Let an alias of the registry stand for a version."""
    client.set_registered_model_alias(name, alias, version)
    run_id = client.get_model_version(name, version).run_id
    if not run_id:  # of a model whose run is not in this store
        return
    # Runs show it too: a table of them has no column for the registry's aliases.
    experiment = client.get_run(run_id).info.experiment_id
    tag = f"{LABEL_TAG}.{alias}"
    for run in client.search_runs([experiment], f"tags.`{tag}` != ''"):
        if run.info.run_id != run_id and run.data.tags.get("tl.model") == name:
            client.delete_tag(run.info.run_id, tag)
    client.set_tag(run_id, tag, f"version {version}")


def _find_logged(client: Any, experiment: str, run_id: str | None, number: str) -> Any:
    found = client.search_logged_models(
        [experiment], filter_string=f"tags.`{VERSION_TAG}` = '{number}'"
    )
    return next((one for one in found if one.source_run_id == run_id), None)


def _link(client: Any, run_id: str, model_id: str, step: int) -> None:
    """Say in the run that the model came out of it."""
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    known = [one.model_id for one in (outputs.model_outputs if outputs else [])]
    if model_id not in known:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])


def _ensure_registered(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _write_pyfunc(saved_model: Path, folder: Path, run_id: str | None, model_id: str) -> None:
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
