"""TF Serving's configuration messages that tensorflow-serving-api does not bring along.

Field numbers and types are those of tensorflow/serving: `session_bundle_config.proto`,
`ssl_config.proto` and `monitoring_config.proto`.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_PACKAGE = "tl.serving.config"
_FIELD = descriptor_pb2.FieldDescriptorProto
_WRAPPED = f".{wrappers_pb2.Int64Value.DESCRIPTOR.file.package}"

# name -> number, type, and whether there may be several; wrapped values tell 0 from absent.
_FIELDS: dict[str, dict[str, tuple[int, str | int, bool]]] = {
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value", False),
        "batch_timeout_micros": (2, "Int64Value", False),
        "max_enqueued_batches": (3, "Int64Value", False),
        "num_batch_threads": (4, "Int64Value", False),
        "thread_pool_name": (5, "StringValue", False),
        "allowed_batch_sizes": (6, _FIELD.TYPE_INT64, True),
        "pad_variable_length_inputs": (7, _FIELD.TYPE_BOOL, False),
        "enable_large_batch_splitting": (8, "BoolValue", False),
        "max_execution_batch_size": (9, "Int64Value", False),
    },
    "SSLConfig": {
        "server_key": (1, _FIELD.TYPE_STRING, False),
        "server_cert": (2, _FIELD.TYPE_STRING, False),
        "custom_ca": (3, _FIELD.TYPE_STRING, False),
        "client_verify": (4, _FIELD.TYPE_BOOL, False),
    },
    "PrometheusConfig": {
        "enable": (1, _FIELD.TYPE_BOOL, False),
        "path": (2, _FIELD.TYPE_STRING, False),
    },
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig", False)},
}


def _build(name: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name=_file_of(name),
        package=_PACKAGE,
        syntax="proto3",
        dependency=[
            wrappers_pb2.Int64Value.DESCRIPTOR.file.name,
            *(_file_of(kind) for _, kind, _ in _FIELDS[name].values() if kind in _FIELDS),
        ],
    )
    message = file.message_type.add(name=name)
    for field, (number, kind, is_repeated) in _FIELDS[name].items():
        label = _FIELD.LABEL_REPEATED if is_repeated else _FIELD.LABEL_OPTIONAL
        added = message.field.add(name=field, number=number, label=label)
        if isinstance(kind, str):
            package = f".{_PACKAGE}" if kind in _FIELDS else _WRAPPED
            added.type, added.type_name = _FIELD.TYPE_MESSAGE, f"{package}.{kind}"
        else:
            added.type = kind  # type: ignore[assignment]  # the stubs want an enum's own type
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _file_of(name: str | int) -> str:
    return f"{_PACKAGE.replace('.', '/')}/{name}.proto"


BatchingParameters: Any = _build("BatchingParameters")
SSLConfig: Any = _build("SSLConfig")
_build("PrometheusConfig")
MonitoringConfig: Any = _build("MonitoringConfig")
