"""What a model is and how it is doing: the protocol's messages, and their JSON."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.errors import Code, InvalidArgument
from serving.registry import ModelRef, Registry, VersionStatus

# The one kind of metadata that the protocol has.
SIGNATURE_DEF = "signature_def"


def status_message(registry: Registry, ref: ModelRef) -> Any:
    """Make the `GetModelStatusResponse` for a model, newest version first.

    Raises:
        NotFound: no such model or version was ever seen.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in registry.statuses(ref):
        entry = response.model_version_status.add()
        entry.version = status.version
        entry.state = status.state.value
        code, message = _health(status)
        entry.status.error_code = code
        entry.status.error_message = message
    return response


def metadata_message(registry: Registry, ref: ModelRef, fields: tuple[str, ...]) -> Any:
    """Make the `GetModelMetadataResponse` for a version that answers.

    Raises:
        InvalidArgument: `fields` is not exactly what the protocol has.
        NotFound: the model or the version cannot answer now.
    """
    if not fields:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != SIGNATURE_DEF:
            raise InvalidArgument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    signatures = get_model_metadata_pb2.SignatureDefMap()
    with registry.acquire(ref) as servable:
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        for name, signature in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response


def status_json(registry: Registry, ref: ModelRef) -> dict[str, Any]:
    """Give the status as REST shows it: versions as strings, all fields present."""
    return _to_json(status_message(registry, ref))


def metadata_json(registry: Registry, ref: ModelRef) -> dict[str, Any]:
    """Give the metadata as REST shows it."""
    return metadata_message_to_json(metadata_message(registry, ref, (SIGNATURE_DEF,)))


def metadata_message_to_json(response: Any) -> dict[str, Any]:
    """Give a `GetModelMetadataResponse` without the type URL that `Any` has in JSON."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(signatures)
    return {
        "model_spec": _to_json(response.model_spec),
        "metadata": {SIGNATURE_DEF: _to_json(signatures)},
    }


def _health(status: VersionStatus) -> tuple[Code, str]:
    return (Code.OK, "") if status.error is None else (status.error.code, status.error.message)


def _to_json(message: Any) -> dict[str, Any]:
    plain: dict[str, Any] = MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return plain
