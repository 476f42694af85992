"""Requests that a server runs before it announces a version, so that the first one is fast."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tl.errors import ExportError

BATCH_SIZES = (1, 4)


def write_warmup_requests(version: Path, name: str) -> None:
    """Write ``assets.extra/tf_serving_warmup_requests`` into a version's folder.

    Args:
        version: folder of the SavedModel.
        name: of the model.

    Raises:
        ExportError: they cannot be written; a full disk among others.
    """
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    picture = tf.io.encode_jpeg(noise).numpy()
    folder = version / "assets.extra"
    folder.mkdir(exist_ok=True)
    try:
        _write(folder / "tf_serving_warmup_requests", name, picture)
    except tf.errors.OpError as error:
        raise ExportError(
            f"cannot write the warm-up requests below {folder}: {error.message}. Free some "
            "space or choose another --output; no version was added"
        ) from error


def _write(path: Path, name: str, picture: bytes) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in BATCH_SIZES:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = "serving_default"
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([picture] * size))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
