"""The same SavedModel as an MLflow model, for `mlflow models serve`.

    python serve_mlflow.py VERSION_FOLDER MODEL_FOLDER

writes the MLflow model; its input are pictures in base64.
"""

import base64
import sys
from typing import Any

import mlflow
import mlflow.pyfunc
import numpy as np


class Pictures(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    """Labels and scores of pictures."""

    def load_context(self, context: Any) -> None:
        """Load the SavedModel."""
        import tensorflow as tf

        self._constant = tf.constant
        self._loaded = tf.saved_model.load(context.artifacts["version"])
        self._signature = self._loaded.signatures["serving_default"]

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Answer pictures in base64."""
        del context, params
        pictures = [base64.b64decode(one) for one in np.asarray(model_input).reshape(-1)]
        found = self._signature(image_bytes=self._constant(pictures))
        labels, scores = found["labels"].numpy(), np.asarray(found["scores"])
        return [
            {"labels": [one.decode() for one in names], "scores": row.tolist()}
            for names, row in zip(labels, scores, strict=True)
        ]


if __name__ == "__main__":
    version, folder = sys.argv[1:]
    mlflow.pyfunc.save_model(folder, python_model=Pictures(), artifacts={"version": version})
