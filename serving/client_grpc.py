"""The client's gRPC side."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
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

from serving.client_address import Address
from serving.client_tls import ClientTls
from serving.errors import Code, Refused, Unreachable
from serving.json_tensor import Array
from serving.metadata import SIGNATURE_DEF, metadata_message_to_json
from serving.tensor_proto import array_to_proto, arrays_from_protos

_OPTIONS = [
    # The default refuses answers over 4 MB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Until its next try to connect a channel refuses calls by itself; the waits of the client's
    # own retries are shorter than the default of a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Otherwise another client's failures to connect count for this one.
    ("grpc.use_local_subchannel_pool", 1),
]


class GrpcTransport:
    """Calls over one gRPC channel.

    The calls are those of gRPC's threads, awaited: several event loops in one process disturb
    each other in `grpc.aio` (grpc issue 25364), and here each client may have its own.
    """

    def __init__(self, address: Address, tls: ClientTls | None) -> None:
        self._address = address
        if tls is None:
            self._channel = grpc.insecure_channel(address.netloc, _OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
            self._channel = grpc.secure_channel(address.netloc, credentials, _OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    async def predict(
        self,
        model: str,
        signature_name: str,
        input_name: str,
        values: Sequence[bytes],
        timeout_s: float,
    ) -> dict[str, Array]:
        """Run one signature on a batch of byte strings."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature_name
        array = np.array([*values, None], dtype=object)[:-1]
        request.inputs[input_name].CopyFrom(array_to_proto(array))
        response = await self._call(self._prediction.Predict, request, timeout_s)
        return {
            name: _as_text(array) for name, array in arrays_from_protos(response.outputs).items()
        }

    async def status(self, model: str, timeout_s: float) -> dict[int, str]:
        """Give version -> state."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        response = await self._call(self._models.GetModelStatus, request, timeout_s)
        states = get_model_status_pb2.ModelVersionStatus.State
        return {entry.version: states.Name(entry.state) for entry in response.model_version_status}

    async def metadata(self, model: str, timeout_s: float) -> dict[str, Any]:
        """Give the metadata in the JSON form of the REST interface."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
        request.model_spec.name = model
        response = await self._call(self._prediction.GetModelMetadata, request, timeout_s)
        return metadata_message_to_json(response)

    async def list_models(self, timeout_s: float) -> list[str] | None:
        """Tell nothing: the protocol has no list over gRPC."""
        del timeout_s
        return None

    async def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    async def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(ended.set)

        call = method.future(request, timeout=timeout_s)
        call.add_done_callback(tell)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.code() is grpc.StatusCode.OK:
            return call.result()
        error = call.exception()
        code, details = Code(call.code().value[0]), call.details()
        if code is Code.UNAVAILABLE:
            # gRPC does not tell a server that says so from one that is not there.
            raise Unreachable(
                f"{self._address} is not there, or too busy: {details}. "
                "Is the server running, and is this its gRPC port?",
                transient=True,
            ) from error
        if code is Code.DEADLINE_EXCEEDED:
            raise TimeoutError from error  # who gave the time says how long it was
        raise Refused(code, f"{self._address} answered {code.name}: {details}") from error


def _as_text(array: Array) -> Array:
    if array.dtype != object:
        return array
    # As over REST, where bytes that are no UTF-8 come as surrogates.
    texts = [value.decode(errors="surrogateescape") for value in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)
