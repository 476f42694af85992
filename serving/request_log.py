"""A sample of the requests with their answers, as `PredictionLog` records in TFRecord files.

The files are what `assets.extra/tf_serving_warmup_requests` wants: a log of today's requests warms
up tomorrow's version. They hold what clients have sent, pictures included.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.config import LogConfig, ModelConfig
from serving.predict import Prediction
from serving.servable import Array
from serving.tensor_proto import array_to_proto

RECORDS_A_FILE = 1000
"""What a model may have of them to be warmed up with."""
_PAUSE_S = 60.0  # after a file could not be written

logger = logging.getLogger(__name__)


class RequestLogs:
    """The logs of all models of a server; safe to use from several threads."""

    def __init__(self, default: LogConfig | None) -> None:
        """Log nothing yet.

        Args:
            default: for models whose own configuration says nothing.
        """
        self._default = default
        self._configs: Mapping[str, LogConfig] = {}
        self._logs: dict[tuple[str, LogConfig], _Log] = {}
        self._lock = threading.Lock()

    def update(self, models: Iterable[ModelConfig]) -> None:
        """Log what these models' configurations ask for, from now on."""
        self._configs = {one.name: one.log for one in models if one.log is not None}
        with self._lock:
            wanted = {(name, config) for name, config in self._configs.items()}
            for key in [key for key in self._logs if key[1] != self._default and key not in wanted]:
                self._logs.pop(key).close()

    def draws(self, name: str) -> bool:
        """Tell whether a request of a model is one of the sample."""
        config = self._configs.get(name, self._default)
        return config is not None and random.random() < config.sampling_rate

    def write(self, name: str, record: Any) -> None:
        """Write a `PredictionLog` of a model; a full disk costs the record, and no request."""
        config = self._configs.get(name, self._default)
        if config is None:
            return
        with self._lock:
            log = self._logs.get((name, config))
            if log is None:
                log = self._logs[name, config] = _Log(f"{config.prefix}-{name}")
            log.write(record.SerializeToString())

    def close(self) -> None:
        """End the files."""
        with self._lock:
            for log in self._logs.values():
                log.close()
            self._logs.clear()


class _Log:
    """Files of one model, one after the other."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._number, self._records, self._again_s = 0, 0, 0.0
        self._writer: Any = None

    def write(self, record: bytes) -> None:
        if time.monotonic() < self._again_s:
            return
        try:
            if self._writer is None:
                self._open()
            self._writer.write(record)
            self._writer.flush()  # so that a kill loses none
            self._records += 1
            if self._records == RECORDS_A_FILE:
                self.close()
        except (OSError, tf.errors.OpError) as error:
            self._again_s = time.monotonic() + _PAUSE_S
            self._writer = None
            logger.warning(
                "requests cannot be logged to %s: %s; next try in %g s",
                self._prefix,
                error,
                _PAUSE_S,
            )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        began = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        path = Path(f"{self._prefix}-{began}-{os.getpid()}-{self._number}.tfrecord")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)  # what clients send is nobody else's business
        self._writer = tf.io.TFRecordWriter(str(path))
        self._number, self._records = self._number + 1, 0


def record_of(kind: str, request: Any, response: Any) -> Any:
    """Return a `PredictionLog` of a gRPC request with its answer; `kind` as in `predict_log`."""
    record = prediction_log_pb2.PredictionLog()
    log = getattr(record, kind)
    log.request.CopyFrom(request)
    log.response.CopyFrom(response)
    return record


def record_of_predict(prediction: Prediction, inputs: Mapping[str, Array]) -> Any:
    """Return a `PredictionLog` of what came over REST, as if it had come over gRPC."""
    record = prediction_log_pb2.PredictionLog()
    log = record.predict_log
    for spec in (log.request.model_spec, log.response.model_spec):
        spec.name, spec.signature_name = prediction.model_name, prediction.signature_name
        spec.version.value = prediction.version
    for name, array in inputs.items():
        log.request.inputs[name].CopyFrom(array_to_proto(array))
    for name, array in prediction.outputs.items():
        log.response.outputs[name].CopyFrom(array_to_proto(array))
    return record


def record_of_examples(kind: str, prediction: Prediction, examples: Sequence[bytes]) -> Any:
    """Return a `PredictionLog` of the request of a Classify or Regress that came over REST."""
    record = prediction_log_pb2.PredictionLog()
    request = getattr(record, kind).request
    request.model_spec.name = prediction.model_name
    request.model_spec.signature_name = prediction.signature_name
    request.model_spec.version.value = prediction.version
    for example in examples:
        request.input.example_list.examples.add().ParseFromString(example)
    return record
