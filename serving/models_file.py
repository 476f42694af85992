"""A `ModelServerConfig`, of a file or of a reload call, as the models it asks for.

Files are in protobuf's text format, as `tensorflow_model_server --model_config_file` takes them:

    model_config_list {
      config { name: "flowers" base_path: "/models/flowers" model_platform: "tensorflow" }
    }

The rules and the words of the errors are TF Serving's.
"""

from pathlib import Path
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from serving.config import LogConfig, ModelConfig, VersionPolicy
from serving.errors import InvalidArgument, StartError
from serving.text_proto import read_text_proto

_PLATFORM = "tensorflow"
_LABEL_CHARACTERS = "/:"


def read_models_file(path: Path) -> tuple[ModelConfig, ...]:
    """Read the models that a file asks for.

    Raises:
        StartError: it cannot be read, is no `ModelServerConfig`, or asks for what cannot be.
    """
    message = read_text_proto(path, model_server_config_pb2.ModelServerConfig())
    if message.WhichOneof("config") is None:  # as a file is that is just being written
        raise StartError(f"{path} has no model_config_list: write model_config_list {{}} for none")
    try:
        return models_of(message)
    except InvalidArgument as error:
        raise StartError(f"{path}: {error.message}") from error


def models_of(message: Any) -> tuple[ModelConfig, ...]:
    """Read the models of a `ModelServerConfig`, in its order.

    Raises:
        InvalidArgument: it asks for what cannot be.
    """
    if message.WhichOneof("config") == "custom_model_config":
        raise InvalidArgument("custom_model_config is not supported: give a model_config_list")
    models = tuple(map(_model, message.model_config_list.config))
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise InvalidArgument(
                f"Illegal to list model {model.name} multiple times in config list"
            )
        seen.add(model.name)
    return models


def _model(config: Any) -> ModelConfig:
    _check_platform(config)
    path = Path(config.base_path)
    if not path.is_absolute():
        raise InvalidArgument(
            f"Expected model {config.name} to have an absolute path or URI; got "
            f"base_path()={config.base_path}"
        )
    for label in config.version_labels:
        if not label or any(one in label for one in _LABEL_CHARACTERS):
            raise InvalidArgument(
                f"version label {label!r} of model {config.name} cannot be used in a URL: give one "
                "that is not empty and has no '/' and no ':'"
            )
    try:
        return ModelConfig(
            name=config.name,
            base_path=path,
            policy=_policy(config),
            labels=dict(config.version_labels),
            log=_log(config),
        )
    except StartError as error:  # a name or a rate that cannot be used
        raise InvalidArgument(error.message) from error


def _check_platform(config: Any) -> None:
    # The number that came before the name: TENSORFLOW is 1.
    if config.model_type and config.model_platform:
        raise InvalidArgument(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform."
        )
    if not config.model_type and not config.model_platform:
        raise InvalidArgument(
            f"model {config.name}: Illegal setting neither ModelServerConfig::model_type "
            f'(deprecated) nor ModelServerConfig::model_platform: add model_platform: "{_PLATFORM}"'
        )
    if config.model_type > 1 or config.model_platform not in ("", _PLATFORM):
        platform = config.model_platform or f"model_type {config.model_type}"
        raise InvalidArgument(
            f"model {config.name}: platform {platform} is not supported: only {_PLATFORM} is"
        )


def _log(config: Any) -> LogConfig | None:
    if not config.HasField("logging_config"):
        return None
    logging = config.logging_config
    return LogConfig(
        prefix=logging.log_collector_config.filename_prefix,
        sampling_rate=logging.sampling_config.sampling_rate,
    )


def _policy(config: Any) -> VersionPolicy:
    policy = config.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy(n_latest=None)
    if kind == "specific":
        if not policy.specific.versions:
            raise InvalidArgument(
                f"model {config.name}: model_version_policy specific has no versions"
            )
        return VersionPolicy(versions=frozenset(policy.specific.versions))
    # 0 is what a policy without a number has, and means one, as in TF Serving.
    return VersionPolicy(n_latest=policy.latest.num_versions or 1)
