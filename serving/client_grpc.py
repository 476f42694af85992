"""The client's gRPC side."""

from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.errors import Code, Refused, TimedOut, Unreachable
from serving.json_tensor import Array
from serving.metadata import SIGNATURE_DEF, metadata_message_to_json
from serving.tensor_proto import array_to_proto, arrays_from_protos


class GrpcTransport:
    """Calls over one gRPC channel, which threads can share."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(
            self._address,
            options=[
                # The default refuses answers over 4 MB.
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(
        self, model: str, signature_name: str, input_name: str, values: Sequence[bytes]
    ) -> dict[str, Array]:
        """Run one signature on a batch of byte strings."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature_name
        array = np.array([*values, None], dtype=object)[:-1]
        request.inputs[input_name].CopyFrom(array_to_proto(array))
        response = self._call(self._prediction.Predict, request)
        return {
            name: _as_text(array) for name, array in arrays_from_protos(response.outputs).items()
        }

    def status(self, model: str) -> dict[int, str]:
        """Give version -> state."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        response = self._call(self._models.GetModelStatus, request)
        states = get_model_status_pb2.ModelVersionStatus.State
        return {entry.version: states.Name(entry.state) for entry in response.model_version_status}

    def metadata(self, model: str) -> dict[str, Any]:
        """Give the metadata in the JSON form of the REST interface."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
        request.model_spec.name = model
        return metadata_message_to_json(self._call(self._prediction.GetModelMetadata, request))

    def list_models(self) -> list[str] | None:
        """Tell nothing: the protocol has no list over gRPC."""
        return None

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            code = Code(error.code().value[0])
            where = f"grpc://{self._address}"
            if code is Code.UNAVAILABLE:
                raise Unreachable(
                    f"cannot reach {where}: {error.details()}. "
                    "Is the server running, and is this its gRPC port?"
                ) from error
            if code is Code.DEADLINE_EXCEEDED:
                raise TimedOut(
                    f"{where} did not answer within {self._timeout_s:g} s: "
                    "raise timeout_s, or send fewer examples at once"
                ) from error
            raise Refused(code, f"{where} answered {code.name}: {error.details()}") from error


def _as_text(array: Array) -> Array:
    if array.dtype != object:
        return array
    return np.array([value.decode() for value in array.ravel()], dtype=str).reshape(array.shape)
