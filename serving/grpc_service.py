"""PredictionService and ModelService over gRPC.

Only the methods that are served are registered, so gRPC itself answers UNIMPLEMENTED for the
others, as it does for a service that does not exist.
"""

import time
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.drain import Drain
from serving.errors import Code, DeadlineExceeded, RequestError
from serving.examples import examples_from_input
from serving.inference import classify, regress
from serving.metadata import metadata_message, status_message
from serving.metrics import Metrics
from serving.predict import Prediction, predict
from serving.registry import ModelRef, Registry
from serving.tensor_proto import array_to_proto, arrays_from_protos

# Errors travel in HTTP/2 headers, which proxies bound; TF Serving cuts them here.
_MAX_ERROR_BYTES = 1024
_CUT_MARK = "...TRUNCATED"

_STATUS_OF_CODE = {status.value[0]: status for status in grpc.StatusCode}

Answer = Callable[[Any, Any], Any]


def build_handlers(
    registry: Registry, metrics: Metrics, drain: Drain, *, as_tensor_content: bool
) -> "tuple[grpc.GenericRpcHandler[Any, Any], ...]":
    """Build the handlers of both services, to be added to a gRPC server."""
    service = _Service(registry, metrics, drain, as_tensor_content)
    return (
        grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService",
            {
                "Predict": _method(service.predict, predict_pb2.PredictRequest),
                "Classify": _method(service.classify, classification_pb2.ClassificationRequest),
                "Regress": _method(service.regress, regression_pb2.RegressionRequest),
                "GetModelMetadata": _method(
                    service.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest
                ),
            },
        ),
        grpc.method_handlers_generic_handler(
            "tensorflow.serving.ModelService",
            {
                "GetModelStatus": _method(
                    service.get_model_status, get_model_status_pb2.GetModelStatusRequest
                )
            },
        ),
    )


class _Service:
    def __init__(
        self, registry: Registry, metrics: Metrics, drain: Drain, as_tensor_content: bool
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._drain = drain
        self._as_tensor_content = as_tensor_content

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("Predict", self._predict, request, context)

    def classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("Classify", self._classify, request, context)

    def regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("Regress", self._regress, request, context)

    def _measured(
        self, api: str, answer_to: Answer, request: Any, context: grpc.ServicerContext
    ) -> Any:
        started_s = time.monotonic()
        code = Code.INTERNAL
        try:
            # gRPC forgets a call whose client has given up; the model still runs for it, and the
            # process must not end under a running model.
            with self._drain.request():
                left_s = context.time_remaining()
                if left_s is not None and left_s <= 0:
                    raise DeadlineExceeded(
                        "the deadline of the request passed while it was waiting"
                    )
                answer = answer_to(request, context)
            code = Code.OK
        except RequestError as error:
            code = error.code
            raise
        finally:
            name = request.model_spec.name
            if name in self._registry.names:
                self._metrics.count(name, api, "GRPC", code, time.monotonic() - started_s)
        return answer

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        with self._registry.acquire(_model_ref(request.model_spec)) as servable:
            prediction = predict(
                servable,
                request.model_spec.signature_name,
                arrays_from_protos(request.inputs),
                tuple(request.output_filter),
            )
        response = predict_pb2.PredictResponse()
        _name(response.model_spec, prediction)
        for name, array in prediction.outputs.items():
            proto = array_to_proto(array, as_content=self._as_tensor_content)
            response.outputs[name].CopyFrom(proto)
        return response

    def _classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        spec, examples = request.model_spec, examples_from_input(request.input)
        with self._registry.acquire(_model_ref(spec)) as servable:
            prediction = classify(servable, spec.signature_name, examples)
        response = classification_pb2.ClassificationResponse()
        _name(response.model_spec, prediction)
        for labels, scores in zip(*prediction.outputs.values(), strict=True):
            classes = response.result.classifications.add().classes
            for label, score in zip(labels, scores, strict=True):
                classes.add(label=label, score=score)
        return response

    def _regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        spec, examples = request.model_spec, examples_from_input(request.input)
        with self._registry.acquire(_model_ref(spec)) as servable:
            prediction = regress(servable, spec.signature_name, examples)
        response = regression_pb2.RegressionResponse()
        _name(response.model_spec, prediction)
        for value in prediction.outputs["outputs"]:
            response.result.regressions.add(value=value)
        return response

    def get_model_metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        return metadata_message(
            self._registry, _model_ref(request.model_spec), tuple(request.metadata_field)
        )

    def get_model_status(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        return status_message(self._registry, _model_ref(request.model_spec))


def _name(spec: Any, prediction: Prediction) -> None:
    """Say in an answer which version and signature made it."""
    spec.name = prediction.model_name
    spec.version.value = prediction.version
    spec.signature_name = prediction.signature_name


def _model_ref(spec: Any) -> ModelRef:
    return ModelRef(
        name=spec.name,
        version=spec.version.value if spec.HasField("version") else None,
        label=spec.version_label,
    )


def _method(answer: Answer, request_type: Any) -> Any:
    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request, context)
        except RequestError as error:
            context.abort(_STATUS_OF_CODE[error.code], _cut(error.message))

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request_type.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


def _cut(message: str) -> str:
    raw = message.encode()
    if len(raw) <= _MAX_ERROR_BYTES:
        return message
    kept = raw[: _MAX_ERROR_BYTES - len(_CUT_MARK)]
    return kept.decode(errors="ignore") + _CUT_MARK
