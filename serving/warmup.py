"""Run the requests that a model brings along, before anybody else's.

The first run of a signature is slow: TensorFlow places and optimises its graph then. Requests
recorded in `assets.extra/tf_serving_warmup_requests` take that upon themselves while the version
is still loading.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import Code, LoadError, RequestError, Unimplemented
from serving.examples import examples_from_input
from serving.inference import CLASSIFY, checked_tasks, classify, regress
from serving.predict import predict
from serving.servable import Servable
from serving.tensor_proto import arrays_from_protos

REQUESTS_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000  # TF Serving's bound


def warm_up(servable: Servable, path: Path, iterations: int) -> None:
    """Run each recorded request `iterations` times on a version that was loaded from `path`.

    A model without the file passes. The model's name in a record does not matter.

    Raises:
        LoadError: a record is damaged, a request fails, or there are over 1000.
    """
    file = path / REQUESTS_FILE
    if not file.is_file():
        return
    try:
        records = list(tf.data.TFRecordDataset(str(file)).take(MAX_RECORDS + 1).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise LoadError(Code.DATA_LOSS, f"cannot read {file}: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise LoadError(
            Code.INVALID_ARGUMENT,
            f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}",
        )
    for index, record in enumerate(records):
        try:
            log = prediction_log_pb2.PredictionLog.FromString(record)
        except DecodeError as error:
            raise LoadError(
                Code.INVALID_ARGUMENT, f"Failed to parse warmup record: {index} from {file}"
            ) from error
        try:
            kind = log.WhichOneof("log_type")
            if kind not in _RUNS:
                raise Unimplemented(f"a record of type {kind} cannot be run")
            for _ in range(iterations):
                _RUNS[kind](servable, getattr(log, kind).request)
        except RequestError as error:
            raise LoadError(
                error.code, f"warm-up request {index} of {file} fails: {error.message}"
            ) from error


def _predict(servable: Servable, request: Any) -> None:
    inputs = arrays_from_protos(request.inputs)
    predict(servable, request.model_spec.signature_name, inputs, tuple(request.output_filter))


def _classify(servable: Servable, request: Any) -> None:
    classify(servable, request.model_spec.signature_name, examples_from_input(request.input))


def _regress(servable: Servable, request: Any) -> None:
    regress(servable, request.model_spec.signature_name, examples_from_input(request.input))


def _multi_inference(servable: Servable, request: Any) -> None:
    examples = examples_from_input(request.input)
    for task in checked_tasks(request):
        run = classify if task.method_name == CLASSIFY else regress
        run(servable, task.model_spec.signature_name, examples)


def _session_run(servable: Servable, request: Any) -> None:
    feeds = arrays_from_protos({one.name: one.tensor for one in request.feed})
    servable.run_tensors(feeds, list(request.fetch), list(request.target))


# Streamed requests have no answer that could be waited for; TF Serving refuses them too.
_RUNS: dict[str, Callable[[Servable, Any], None]] = {
    "predict_log": _predict,
    "classify_log": _classify,
    "regress_log": _regress,
    "multi_inference_log": _multi_inference,
    "session_run_log": _session_run,
}
