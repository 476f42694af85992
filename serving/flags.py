"""The command line: tensorflow_model_server's flags, and a folder as the short way.

Receives the words of the command line, gives a `ServerConfig` and what to say about flags that
do nothing here. TF Serving goes on after an unknown flag; we stop, because a misspelt flag is a
server that does something else than it was told.
"""

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from serving.batching_file import read_batching_file, tf_serving_defaults
from serving.channel_arguments import parse_channel_arguments
from serving.config import (
    METRICS_PATH,
    MOST_JSON_DEPTH,
    BatchOptions,
    LoadOptions,
    LogConfig,
    ModelConfig,
    ServerConfig,
    default_threads,
)
from serving.errors import UsageError
from serving.monitoring_file import read_monitoring_file
from serving.reaching_ops import check_names

USAGE = """\
python -m serving PATH [flags]
       python -m serving --model_name=NAME --model_base_path=PATH [flags]"""

DESCRIPTION = """\
Serve SavedModels over REST and gRPC, as tensorflow_model_server does. PATH is a folder of
numbered versions (models/flowers), or a folder of such folders (models). With PATH, the server
listens on 127.0.0.1 and REST is on port 8501; with --model_base_path it takes
tensorflow_model_server's defaults: 0.0.0.0, and no REST without --rest_api_port.
Flags may be written with dashes, as --flag=value or --flag value."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its type, the default in tensorflow_model_server, and what it does here."""

    name: str
    kind: type[str] | type[int] | type[float] | type[bool]
    default: str | int | float | bool
    help: str


_FLAGS = (
    Flag("port", int, 8500, "port of gRPC; 0 takes a free one"),
    Flag("grpc_socket_path", str, "", "UNIX socket on which gRPC is served as well"),
    Flag("rest_api_port", int, 0, "port of REST; 0 is off, with PATH a free one (8501 if absent)"),
    Flag("rest_api_num_threads", int, 0, "threads that answer REST; 0 is 4 a CPU, at least 32"),
    Flag("rest_api_timeout_in_ms", int, 30_000, "milliseconds that a REST call may run the model"),
    Flag("rest_api_enable_cors_support", bool, False, "let pages of other origins call REST"),
    Flag("model_name", str, "default", "name of the model at --model_base_path"),
    Flag("model_base_path", str, "", "folder of the model's numbered versions"),
    Flag("model_config_file", str, "", "text protobuf of the models to serve: ModelServerConfig"),
    Flag("model_config_file_poll_wait_seconds", float, 0.0, "between reading it again; 0 is never"),
    Flag("allow_version_labels_for_unavailable_models", bool, False, "new labels may run ahead"),
    Flag("max_num_load_retries", int, 5, "retries of a version that failed to load"),
    Flag("load_retry_interval_micros", int, 60_000_000, "microseconds between two of them"),
    Flag("file_system_poll_wait_seconds", float, 1.0, "seconds between looks; 0 looks once"),
    Flag("tensorflow_session_parallelism", int, 0, "threads for and within ops; 0 is automatic"),
    Flag("tensorflow_intra_op_parallelism", int, 0, "threads within one op; 0 is automatic"),
    Flag("tensorflow_inter_op_parallelism", int, 0, "ops at the same time; 0 is automatic"),
    Flag("per_process_gpu_memory_fraction", float, 0.0, "share of GPU memory; 0 is automatic"),
    Flag("saved_model_tags", str, "serve", "tags of the graph to load, comma-separated"),
    Flag("grpc_channel_arguments", str, "", "options of the gRPC server: k=v,k=v"),
    Flag("grpc_max_threads", int, 0, "threads that answer gRPC; 0 is 4 a CPU, at least 32"),
    Flag("enable_batching", bool, False, "run requests together; by default those of tl's models"),
    Flag("batching_parameters_file", str, "", "text protobuf: BatchingParameters"),
    Flag("enable_per_model_batching_parameters", bool, False, "a version may have its own file"),
    Flag("enable_model_warmup", bool, True, "run the requests in assets.extra before serving"),
    Flag("num_request_iterations_for_warmup", int, 0, "times that each of them is run; 0 is once"),
    Flag("enable_serialization_as_tensor_content", bool, False, "answer gRPC in raw bytes"),
    Flag("enable_grpc_healthcheck_service", bool, False, "answer grpc.health.v1"),
    Flag("version", bool, False, "print the versions and end"),
    Flag("check", bool, False, "look at files and paths, and end (not in tensorflow_model_server)"),
    Flag("ssl_config_file", str, "", "text protobuf: SSLConfig, TLS for gRPC"),
    Flag("rest_api_ssl_config_file", str, "", "the same for REST (not in tensorflow_model_server)"),
    Flag("monitoring_config_file", str, "", "text protobuf: MonitoringConfig, page of metrics"),
    Flag("access_log", str, "", "file of JSON lines, - is stdout (not in tensorflow_model_server)"),
    Flag("request_log_prefix", str, "", "of TFRecord files (not in tensorflow_model_server)"),
    Flag("request_log_sampling_rate", float, 0.01, "of requests (not in tensorflow_model_server)"),
    Flag("rest_api_max_body_bytes", int, 2**28, "of a body (not in tensorflow_model_server)"),
    Flag("rest_api_max_header_bytes", int, 2**16, "of a head (not in tensorflow_model_server)"),
    Flag("rest_api_max_json_depth", int, MOST_JSON_DEPTH, "levels of lists and objects (ours)"),
    Flag("max_picture_pixels", int, 10**8, "of a picture (not in tensorflow_model_server)"),
    Flag("rest_api_max_connections", int, 1000, "at a time (not in tensorflow_model_server)"),
    Flag("rest_api_read_timeout_seconds", float, 60.0, "for a body (ours)"),
    Flag("allow_ops", str, "", "ops that may reach out of models (not in tensorflow_model_server)"),
    Flag("max_waiting_requests", int, 128, "for a thread (not in tensorflow_model_server)"),
    Flag("wait_for_model", bool, False, "wait for a missing path (not in tensorflow_model_server)"),
    Flag("host", str, "", "address to listen on (not in tensorflow_model_server)"),
    Flag("shutdown_grace_seconds", float, 30.0, "seconds to end (not in tensorflow_model_server)"),
)  # fmt: skip

_WITHOUT_EFFECT = (
    Flag("num_load_threads", int, 0, ""),
    Flag("num_unload_threads", int, 0, ""),
    Flag("flush_filesystem_caches", bool, True, ""),
    Flag("enable_signature_method_name_check", bool, False, ""),
    Flag("tensorflow_session_config_file", str, "", ""),
    Flag("platform_config_file", str, "", ""),
    Flag("thread_pool_factory_config_file", str, "", ""),
    Flag("enable_profiler", bool, True, ""),
    Flag("remove_unused_fields_from_bundle_metagraph", bool, True, ""),
    Flag("prefer_tflite_model", bool, False, ""),
    Flag("num_tflite_pools", int, 0, ""),
    Flag("num_tflite_interpreters_per_pool", int, 1, ""),
    Flag("mixed_precision", str, "", ""),
    Flag("xla_cpu_compilation_enabled", bool, False, ""),
    Flag("xla_gpu_compilation_enabled", bool, False, ""),
    Flag("skip_initialize_tpu", bool, False, ""),
)

# Passing these over would serve something else, or in the clear what was to be encrypted.
_REFUSED = (Flag("use_alts_credentials", bool, False, "put a proxy that encrypts in front"),)

_ALL = {flag.name: flag for flag in (*_FLAGS, *_WITHOUT_EFFECT, *_REFUSED)}
_MOST = 10**9
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the words of the command line come to.

    `only_checks` is whether it is to be looked at and not served. `config` is None where only the
    versions are to be printed. `without_effect` are the flags that were given and do nothing here.
    """

    config: ServerConfig | None
    without_effect: tuple[str, ...]
    only_checks: bool = False


def parse_command_line(words: Sequence[str]) -> CommandLine:
    """Read the command line, without the program's name.

    Raises:
        UsageError: a flag is unknown, has a bad value, or contradicts another.
        SystemExit: after `--help`.
    """
    values, paths = _parse_words(words)
    given = set(values)
    for flag in _REFUSED:
        if values.get(flag.name):
            raise UsageError(f"--{flag.name} is not supported: {flag.help}")
    without_effect = tuple(flag.name for flag in _WITHOUT_EFFECT if flag.name in given)
    for flag in _ALL.values():
        values.setdefault(flag.name, flag.default)
    if values["version"]:
        return CommandLine(None, without_effect)
    _check_contradictions(values, given)
    if len(paths) > 1:
        raise UsageError(
            f"one PATH is served, got {len(paths)}: {' '.join(paths)}. "
            "Put the models into one folder"
        )
    config = _config_of_path(values, given, paths[0]) if paths else _config_of_flags(values, given)
    return CommandLine(config, without_effect, only_checks=values["check"])


def _config_of_path(values: dict[str, Any], given: set[str], path: str) -> ServerConfig:
    for name in ("model_base_path", "model_name", "model_config_file"):
        if name in given:
            raise UsageError(
                f"PATH ({path}) and --{name} were both given: a PATH is served under the names "
                "of its folders; to choose the name, give --model_name and --model_base_path only"
            )
    return ServerConfig(
        folder=Path(path),
        host=values["host"] or "127.0.0.1",
        rest_port=values["rest_api_port"] if "rest_api_port" in given else 8501,
        **_shared_fields(values, given),
    )


def _config_of_flags(values: dict[str, Any], given: set[str]) -> ServerConfig:
    file, path = values["model_config_file"], values["model_base_path"]
    if not file and not path:
        raise UsageError(
            "nothing to serve: give the folder of a model or of models (python -m serving models), "
            "--model_base_path or --model_config_file"
        )
    # With a file, TF Serving takes no notice of the other two, which its image always passes.
    models = () if file else (ModelConfig(name=values["model_name"], base_path=Path(path)),)
    return ServerConfig(
        models=models,
        models_file=_path_of(file),
        host=values["host"] or "0.0.0.0",
        rest_port=values["rest_api_port"] or None,
        **_shared_fields(values, given),
    )


def _shared_fields(values: dict[str, Any], given: set[str]) -> dict[str, Any]:
    both, file = values["tensorflow_session_parallelism"], values["batching_parameters_file"]
    monitoring = values["monitoring_config_file"]
    batching = tf_serving_defaults() if values["enable_batching"] else BatchOptions()
    return {
        "load": LoadOptions(
            tags=tuple(values["saved_model_tags"].split(",")),
            intra_op_parallelism=values["tensorflow_intra_op_parallelism"] or both,
            inter_op_parallelism=values["tensorflow_inter_op_parallelism"] or both,
            gpu_memory_fraction=values["per_process_gpu_memory_fraction"],
            warm_up=values["enable_model_warmup"],
            warmup_iterations=values["num_request_iterations_for_warmup"] or 1,
            batches=values["enable_batching"] if "enable_batching" in given else None,
            batching=read_batching_file(Path(file)) if file else batching,
            allowed_ops=check_names(filter(None, values["allow_ops"].split(","))),
            most_pixels=values["max_picture_pixels"],
            has_model_batching=values["enable_per_model_batching_parameters"],
        ),
        "request_log": _request_log(values),
        "grpc_port": values["port"],
        "grpc_socket_path": values["grpc_socket_path"],
        "grpc_tls_file": _path_of(values["ssl_config_file"]),
        "rest_tls_file": _path_of(values["rest_api_ssl_config_file"]),
        "rest_threads": values["rest_api_num_threads"] or default_threads(),
        "grpc_threads": values["grpc_max_threads"] or default_threads(),
        "grpc_arguments": parse_channel_arguments(values["grpc_channel_arguments"]),
        "rest_timeout_ms": values["rest_api_timeout_in_ms"],
        "rest_most_bytes": values["rest_api_max_body_bytes"],
        "rest_most_head_bytes": values["rest_api_max_header_bytes"],
        "rest_most_json_depth": values["rest_api_max_json_depth"],
        "rest_most_connections": values["rest_api_max_connections"],
        "rest_read_s": values["rest_api_read_timeout_seconds"],
        "allow_cors": values["rest_api_enable_cors_support"],
        "outputs_as_tensor_content": values["enable_serialization_as_tensor_content"],
        "wait_for_paths": values["wait_for_model"],
        "models_file_poll_s": values["model_config_file_poll_wait_seconds"],
        "allow_labels_of_absent_versions": values["allow_version_labels_for_unavailable_models"],
        "has_health_service": values["enable_grpc_healthcheck_service"],
        "metrics_path": read_monitoring_file(Path(monitoring)) if monitoring else METRICS_PATH,
        "access_log": values["access_log"],
        "max_waiting": values["max_waiting_requests"],
        "poll_s": values["file_system_poll_wait_seconds"],
        "max_load_retries": values["max_num_load_retries"],
        "load_retry_s": values["load_retry_interval_micros"] / 1e6,
        "shutdown_grace_s": values["shutdown_grace_seconds"],
    }


def _request_log(values: dict[str, Any]) -> LogConfig | None:
    prefix = values["request_log_prefix"]
    return (
        LogConfig(prefix=prefix, sampling_rate=values["request_log_sampling_rate"])
        if prefix
        else None
    )


def _path_of(value: str) -> Path | None:
    return Path(value) if value else None


def _check_contradictions(values: dict[str, Any], given: set[str]) -> None:
    if values["batching_parameters_file"] and not values["enable_batching"]:
        raise UsageError("--batching_parameters_file needs --enable_batching")
    if values["enable_per_model_batching_parameters"] and not values["enable_batching"]:
        raise UsageError("--enable_per_model_batching_parameters needs --enable_batching")
    if not 0 <= (rate := values["request_log_sampling_rate"]) <= 1:
        raise UsageError(f"--request_log_sampling_rate is {rate}: give a number from 0 to 1")
    parallelism = [f"tensorflow_{kind}_parallelism" for kind in ("session", "intra_op", "inter_op")]
    if given.issuperset(parallelism):
        raise UsageError(
            "--tensorflow_session_parallelism sets both of the others: give it alone, or "
            "--tensorflow_intra_op_parallelism and --tensorflow_inter_op_parallelism"
        )


def _parse_words(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split the words into values of flags that were given, and paths."""
    # argparse cannot tell `--enable_batching models` from `--enable_batching true`, so it is
    # handed `--flag=value` only; it then has the types, the messages and the help.
    namespace = _build_parser().parse_args(_normalise(words))
    values = vars(namespace)
    paths = values.pop("PATH")
    return values, paths


def _normalise(words: Sequence[str]) -> list[str]:
    normal = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--help":
            normal.append(word)
            continue
        name, has_value, value = word[2:].partition("=")
        flag = _ALL.get(name.replace("-", "_"))
        if flag is None:
            raise UsageError(_unknown_flag(name))
        if not has_value and flag.kind is bool:
            value = rest.pop(0) if rest and rest[0].lower() in _BOOLEANS else "true"
        elif not has_value:
            if not rest:
                raise UsageError(f"--{flag.name} needs a value: write --{flag.name}=VALUE")
            value = rest.pop(0)
        normal.append(f"--{flag.name}={value}")
    return normal


def _unknown_flag(name: str) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), _ALL, n=1, cutoff=0.6)
    hint = f"did you mean --{near[0]}?" if near else "python -m serving --help lists them all"
    return f"unknown flag --{name}: {hint}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m serving",
        usage=USAGE,
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("PATH", nargs="*", default=[], help="what to serve")
    for flag in _FLAGS:
        default = str(flag.default).lower() if flag.kind is bool else flag.default
        text = f"{flag.help} [{default}]" if default != "" else flag.help
        _add_flag(parser, flag, text.replace("%", "%%"))
    for title, flags in (("accepted, without effect", _WITHOUT_EFFECT), ("refused", _REFUSED)):
        group = parser.add_argument_group(title)
        for flag in flags:
            _add_flag(group, flag, flag.help)
    return parser


def _add_flag(parser: Any, flag: Flag, text: str) -> None:
    kind = _PARSERS.get(flag.kind.__name__, flag.kind)
    parser.add_argument(f"--{flag.name}", type=kind, metavar=flag.kind.__name__.upper(), help=text)


def _parse_boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return _BOOLEANS[text.lower()]


def _parse_number(text: str) -> float:
    # Neither nan nor inf, nor more seconds than a thread can wait.
    if not abs(value := float(text)) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of up to {_MOST:,}")
    return value


_PARSERS: dict[str, Callable[[str], object]] = {"bool": _parse_boolean, "float": _parse_number}
