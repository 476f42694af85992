"""Look at what a server would serve, without TensorFlow and without a port: `--check`."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

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
    _check_logs(config, models)
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


def _check_logs(config: ServerConfig, models: tuple[ModelConfig, ...]) -> None:
    """Refuse logs that cannot be written.

    The access log is one file; the request logs are files whose folder is made when there is the
    first request to write.
    """
    if config.access_log not in ("", "-") and (fault := _fault_of(Path(config.access_log))):
        raise StartError(
            f"cannot write --access_log {config.access_log}: {os.strerror(fault)}; give a file in "
            "a folder that is there and may be written, or - for stdout"
        )
    prefixes = {"--request_log_prefix": config.request_log}
    prefixes |= {f"filename_prefix of model {model.name}": model.log for model in models}
    for name, log in prefixes.items():
        if log is None:
            continue
        folder = next(one for one in Path(log.prefix).absolute().parents if one.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            why = "may not be written" if folder.is_dir() else "is no folder"
            raise StartError(
                f"requests cannot be logged to {log.prefix}: {folder} {why}; give another {name}"
            )


def _fault_of(file: Path) -> int:
    """Return the number of the error that writing a file would end with; 0 for none."""
    if file.is_dir():
        return errno.EISDIR
    if not file.parent.is_dir():
        return errno.ENOTDIR if file.parent.exists() else errno.ENOENT
    return 0 if os.access(file if file.exists() else file.parent, os.W_OK) else errno.EACCES
