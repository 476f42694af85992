"""The same SavedModel as a BentoML service, with its adaptive batching.

VERSION=VERSION_FOLDER bentoml serve serve_bentoml:Pictures --port PORT
"""

import os
from typing import Any

import bentoml
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 256})
class Pictures:
    """Labels and scores of pictures."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._constant = tf.constant
        self._loaded = tf.saved_model.load(os.environ["VERSION"])
        self._signature = self._loaded.signatures["serving_default"]

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
    def predict(self, images: list[str]) -> list[dict[str, Any]]:
        """Answer pictures in base64."""
        import base64

        pictures = [base64.b64decode(image) for image in images]
        found = self._signature(image_bytes=self._constant(pictures))
        labels, scores = found["labels"].numpy(), np.asarray(found["scores"])
        return [
            {"labels": [one.decode() for one in names], "scores": row.tolist()}
            for names, row in zip(labels, scores, strict=True)
        ]
