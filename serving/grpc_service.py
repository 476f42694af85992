"""PredictionService and ModelService over gRPC.

Only the methods that are served are registered, so gRPC itself answers UNIMPLEMENTED for the
others, as it does for a service that does not exist.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2,
    predict_pb2,
    prediction_service_pb2,
    regression_pb2,
)

from serving.access_log import ID_HEADER, AccessLog, request_id
from serving.drain import Drain
from serving.errors import Code, DeadlineExceeded, InvalidArgument, RequestError
from serving.examples import examples_from_input
from serving.inference import CLASSIFY, REGRESS, checked_tasks, classify, regress
from serving.loader import Loader
from serving.metadata import metadata_message, status_message
from serving.metrics import Metrics
from serving.models_file import models_of
from serving.predict import Prediction, predict
from serving.registry import ModelRef, Registry
from serving.request_log import RequestLogs, record_of
from serving.tensor_proto import array_to_proto, arrays_from_protos
from serving.workers import refuse_if_overloaded

# Errors travel in HTTP/2 headers, which proxies bound; TF Serving cuts them here.
_MAX_ERROR_BYTES = 1024
_CUT_MARK = "...TRUNCATED"

_STATUS_OF_CODE = {status.value[0]: status for status in grpc.StatusCode}

# From their descriptors, which reflection answers with once they are imported.
_PREDICTION_SERVICE, _MODEL_SERVICE = (
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (prediction_service_pb2, "PredictionService"),
        (model_service_pb2, "ModelService"),
    )
)
SERVICE_NAMES = (_PREDICTION_SERVICE, _MODEL_SERVICE)

_FOR_EVER_S = 1e6
_ID_KEY = ID_HEADER.lower()  # as HTTP/2 wants it

Answer = Callable[[Any, Any], Any]

logger = logging.getLogger(__name__)


def build_handlers(
    registry: Registry,
    loader: Loader,
    metrics: Metrics,
    drain: Drain,
    logs: RequestLogs,
    access_log: AccessLog | None,
    *,
    as_tensor_content: bool,
) -> "tuple[grpc.GenericRpcHandler[Any, Any], ...]":
    """Build the handlers of both services, to be added to a gRPC server."""
    service = _Service(registry, loader, metrics, drain, logs, as_tensor_content)
    services: dict[str, dict[str, tuple[Answer, Any]]] = {
        _PREDICTION_SERVICE: {
            "Predict": (service.predict, predict_pb2.PredictRequest),
            "Classify": (service.classify, classification_pb2.ClassificationRequest),
            "Regress": (service.regress, regression_pb2.RegressionRequest),
            "MultiInference": (service.multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": (
                service.get_model_metadata,
                get_model_metadata_pb2.GetModelMetadataRequest,
            ),
        },
        _MODEL_SERVICE: {
            "GetModelStatus": (
                service.get_model_status,
                get_model_status_pb2.GetModelStatusRequest,
            ),
            "HandleReloadConfigRequest": (
                service.reload_config,
                model_management_pb2.ReloadConfigRequest,
            ),
        },
    }
    return tuple(
        grpc.method_handlers_generic_handler(
            name,
            {
                method: _method(f"/{name}/{method}", answer, kind, access_log)
                for method, (answer, kind) in methods.items()
            },
        )
        for name, methods in services.items()
    )


class _Service:
    def __init__(
        self,
        registry: Registry,
        loader: Loader,
        metrics: Metrics,
        drain: Drain,
        logs: RequestLogs,
        as_tensor_content: bool,
    ) -> None:
        self._registry = registry
        self._loader = loader
        self._metrics = metrics
        self._drain = drain
        self._logs = logs
        self._as_tensor_content = as_tensor_content

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("Predict", self._predict, request, context)

    def classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("Classify", self._classify, request, context)

    def regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("Regress", self._regress, request, context)

    def multi_inference(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._measured("MultiInference", self._multi_inference, request, context)

    def _measured(
        self, api: str, answer_to: Answer, request: Any, context: grpc.ServicerContext
    ) -> Any:
        started_s = time.monotonic()
        code = Code.INTERNAL
        try:
            refuse_if_overloaded()
            # gRPC forgets a call whose client has given up; the model still runs for it, and the
            # process must not end under a running model.
            with self._drain.request():
                left_s = context.time_remaining()
                if left_s is not None and left_s <= 0:
                    raise DeadlineExceeded(
                        "the deadline of the request passed while it was waiting"
                    )
                answer = answer_to(request, model_timeout_ms(left_s))
            code = Code.OK
            if self._logs.draws(name := _first_spec(request).name):
                self._logs.write(name, record_of(_LOGS[api], request, answer))
        except RequestError as error:
            code = error.code
            raise
        finally:
            name = _first_spec(request).name
            if name in self._registry.names:
                self._metrics.count(name, api, "GRPC", code, time.monotonic() - started_s)
        return answer

    def _predict(self, request: Any, timeout_ms: int) -> Any:
        with self._registry.acquire(_model_ref(request)) as servable:
            prediction = predict(
                servable,
                request.model_spec.signature_name,
                arrays_from_protos(request.inputs),
                tuple(request.output_filter),
                timeout_ms,
            )
        self._metrics.count_run("Predict", "GRPC", prediction)
        response = predict_pb2.PredictResponse()
        _name(response.model_spec, prediction)
        for name, array in prediction.outputs.items():
            proto = array_to_proto(array, as_content=self._as_tensor_content)
            response.outputs[name].CopyFrom(proto)
        return response

    def _classify(self, request: Any, timeout_ms: int) -> Any:
        spec, examples = request.model_spec, examples_from_input(request.input)
        with self._registry.acquire(_model_ref(request)) as servable:
            prediction = classify(servable, spec.signature_name, examples, timeout_ms)
        self._metrics.count_run("Classify", "GRPC", prediction)
        response = classification_pb2.ClassificationResponse()
        _name(response.model_spec, prediction)
        _fill_classes(response.result, prediction)
        return response

    def _regress(self, request: Any, timeout_ms: int) -> Any:
        spec, examples = request.model_spec, examples_from_input(request.input)
        with self._registry.acquire(_model_ref(request)) as servable:
            prediction = regress(servable, spec.signature_name, examples, timeout_ms)
        self._metrics.count_run("Regress", "GRPC", prediction)
        response = regression_pb2.RegressionResponse()
        _name(response.model_spec, prediction)
        _fill_values(response.result, prediction)
        return response

    def _multi_inference(self, request: Any, timeout_ms: int) -> Any:
        tasks, examples = checked_tasks(request), examples_from_input(request.input)
        response = inference_pb2.MultiInferenceResponse()
        with self._registry.acquire(_model_ref(tasks[0])) as servable:
            for task in tasks:
                answer, kind, fill = _TASKS[task.method_name]
                name = task.model_spec.signature_name
                prediction = answer(servable, name, examples, timeout_ms)
                self._metrics.count_run("MultiInference", "GRPC", prediction)
                result = response.results.add()
                _name(result.model_spec, prediction)
                fill(getattr(result, kind), prediction)
        return response

    def get_model_metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        return metadata_message(self._registry, _model_ref(request), tuple(request.metadata_field))

    def reload_config(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        if request.config.WhichOneof("config") != "model_config_list":
            raise InvalidArgument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                "ModelConfigList is currently supported"
            )
        before = {name: self._metrics.total(name) for name in request.metric_names}
        self._loader.reload(models_of(request.config))
        response = model_management_pb2.ReloadConfigResponse()
        for name, value in before.items():
            increase = self._metrics.total(name) - value
            response.metric.add(name=name, int64_value_increase=increase)
        return response

    def get_model_status(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        return status_message(self._registry, _model_ref(request))


def _fill_classes(result: Any, prediction: Prediction) -> None:
    for labels, scores in zip(*prediction.outputs.values(), strict=True):
        classes = result.classifications.add().classes
        for label, score in zip(labels, scores, strict=True):
            classes.add(label=label, score=score)


def _fill_values(result: Any, prediction: Prediction) -> None:
    for value in prediction.outputs["outputs"]:
        result.regressions.add(value=value)


_TASKS = {
    CLASSIFY: (classify, "classification_result", _fill_classes),
    REGRESS: (regress, "regression_result", _fill_values),
}


_LOGS = {
    "Predict": "predict_log",
    "Classify": "classify_log",
    "Regress": "regress_log",
    "MultiInference": "multi_inference_log",
}


def _first_spec(message: Any) -> Any:
    """Return the model of a request or an answer; all parts of a MultiInference have the same."""
    if hasattr(message, "model_spec"):
        return message.model_spec
    parts = getattr(message, "tasks", None) or getattr(message, "results", None)
    return parts[0].model_spec if parts else model_pb2.ModelSpec()


def model_timeout_ms(left_s: float | None) -> int:
    """Return how long the model may run, from what is left of the client's time; 0 is for ever.

    Without a deadline gRPC says None or hundreds of years.

    Rounded up to a power of two: each other value is another callable of the session.
    """
    if left_s is None or left_s > _FOR_EVER_S:
        return 0
    return 1 << max(0, math.ceil(math.log2(max(1.0, 1000 * left_s))))


def _name(spec: Any, prediction: Prediction) -> None:
    """Say in an answer which version and signature made it."""
    spec.name = prediction.model_name
    spec.version.value = prediction.version
    spec.signature_name = prediction.signature_name


def _model_ref(message: Any) -> ModelRef:
    """Read which model a request, or a task of one, asks for."""
    if not message.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    spec = message.model_spec
    return ModelRef(
        name=spec.name,
        version=spec.version.value if spec.HasField("version") else None,
        label=spec.version_label,
    )


def _method(path: str, answer: Answer, request_type: Any, access_log: AccessLog | None) -> Any:
    # Bytes are parsed and written here: gRPC would do both on the one thread that all calls share,
    # and where they are no message it keeps what it has of the call in memory for ever.
    def handle(data: bytes, context: grpc.ServicerContext) -> bytes:
        started_s, code, words = time.monotonic(), Code.OK, ""
        request, response, content = request_type(), None, b""
        try:
            request.ParseFromString(data)
            response = answer(request, context)
            content = response.SerializeToString()
        except RequestError as error:
            code, words = error.code, _cut(error.message)
        except DecodeError:
            code, words = Code.INTERNAL, "Exception deserializing request!"
        except Exception as error:
            logger.exception("unforeseen error in %s", path)
            code, words = Code.INTERNAL, _cut(f"internal error: {error!r}")
        if access_log is not None:
            headers = dict(context.invocation_metadata() or ())
            identity = request_id(str(headers.get(_ID_KEY, "")))
            context.set_trailing_metadata(((_ID_KEY, identity),))
            access_log.write(
                id=identity,
                client=context.peer(),
                protocol="gRPC",
                method=path,
                model=_first_spec(request).name,
                version=None if response is None else _first_spec(response).version.value or None,
                status=code.name,
                ms=round(1000 * (time.monotonic() - started_s), 3),
                bytes_in=len(data),
                bytes_out=len(content),
            )
        if code is not Code.OK:
            context.abort(_STATUS_OF_CODE[code], words)
        return content

    return grpc.unary_unary_rpc_method_handler(handle)


def _cut(message: str) -> str:
    raw = message.encode()
    if len(raw) <= _MAX_ERROR_BYTES:
        return message
    kept = raw[: _MAX_ERROR_BYTES - len(_CUT_MARK)]
    return kept.decode(errors="ignore") + _CUT_MARK
