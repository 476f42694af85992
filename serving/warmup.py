"""Run the requests that a model brings along, before anybody else's.

The first run of a signature is slow: TensorFlow places and optimises its graph then. Requests
recorded in `assets.extra/tf_serving_warmup_requests` take that upon themselves while the version
is still loading.
"""

import logging
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import Code, LoadError, RequestError
from serving.predict import predict
from serving.servable import Servable
from serving.tensor_proto import arrays_from_protos

REQUESTS_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000  # TF Serving's bound

logger = logging.getLogger(__name__)


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
        if log.WhichOneof("log_type") != "predict_log":
            logger.warning("%s: record %d is no predict_log: skipped", file, index)
            continue
        request = log.predict_log.request
        try:
            inputs = arrays_from_protos(request.inputs)
            for _ in range(iterations):
                predict(
                    servable,
                    request.model_spec.signature_name,
                    inputs,
                    tuple(request.output_filter),
                )
        except RequestError as error:
            raise LoadError(
                error.code, f"warm-up request {index} of {file} fails: {error.message}"
            ) from error
