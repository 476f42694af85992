"""Look at what a server would serve, without TensorFlow and without a port: `--check`."""

from collections.abc import Iterator

from serving.config import ModelConfig, ServerConfig
from serving.directory import check_base_path, check_folder, find_models, find_versions
from serving.errors import StartError
from serving.models_file import read_models_file
from serving.tls import read_tls_file


def check_paths(config: ServerConfig) -> tuple[ModelConfig, ...]:
    """Refuse files that are wrong, and paths that will never have a version; return the models.

    Raises:
        StartError: with the fix in words.
    """
    file = config.models_file
    models = config.models if file is None else read_models_file(file)
    if config.wait_for_paths:
        return models
    if config.folder is not None:
        check_folder(config.folder)
        models = find_models(config.folder)
    for model in models:
        check_base_path(model.base_path)
    return models


def check_config(config: ServerConfig) -> Iterator[str]:
    """Yield a line about each model that would be served.

    Raises:
        StartError: something is wrong, or a version that a policy or a label names is not there.
    """
    for file in (config.grpc_tls_file, config.rest_tls_file):
        if file is not None:
            read_tls_file(file)
    models = check_paths(config)
    faults = []
    for model in models:
        on_disk = find_versions(model.base_path) if model.base_path.is_dir() else {}
        wanted = model.policy.wanted(on_disk)
        named = (model.policy.versions or frozenset()) | set(model.labels.values())
        if missing := sorted(named - wanted):
            faults.append(
                f"{model.name}: version {', '.join(map(str, missing))} is named by its policy or a "
                f"label, and is not served: {model.base_path} has "
                f"{', '.join(map(str, sorted(on_disk))) or 'none'}"
            )
        labels = "".join(f", {label} is {number}" for label, number in model.labels.items())
        versions = ", ".join(map(str, sorted(wanted))) or "none yet"
        yield f"{model.name}  {model.base_path}  version {versions}{labels}"
    if not models:
        yield f"no model yet in {config.folder}"
    if faults:
        raise StartError("; ".join(faults))
