"""The SavedModel as MLflow's generic kind of model; copied into each logged model, needs no tl.

    model = mlflow.pyfunc.load_model("models:/flowers@champion")
    model.predict(pandas.DataFrame({"image_bytes": [open("rose.jpg", "rb").read()]}))

`mlflow models serve --env-manager local` answers the same, with the bytes in base64.
"""

import base64
from typing import Any

import mlflow
import pandas as pd

COLUMN = "image_bytes"
BATCH = 32


class Answers:
    """Encoded pictures -> a row of answers each."""

    def load_context(self, context: Any) -> None:
        """Load the SavedModel that lies beside."""
        import tensorflow as tf

        self._tf = tf
        self._loaded = tf.saved_model.load(context.artifacts["saved_model"])

    # Without types: MLflow would take those of Python for the schema of the input.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Answer a table with a column of encoded pictures, or a list of them.

        Returns:
            ``labels`` and ``scores``, lists of the best classes, and what else the model says; of a
            model of numbers ``outputs``.
        """
        pictures = model_input[COLUMN] if hasattr(model_input, "columns") else model_input
        files = [_encoded(picture) for picture in pictures]
        answer = self._loaded.signatures["serving_default"]
        rows: dict[str, list[Any]] = {}
        for start in range(0, len(files), BATCH):
            said = answer(image_bytes=self._tf.constant(files[start : start + BATCH]))
            for name, values in said.items():
                rows.setdefault(name, []).extend(map(_plain, values.numpy()))
        return pd.DataFrame(rows)


class SavedModel(Answers, mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Of two classes: MLflow warns of a `predict` without types in a class of its own."""


def _encoded(picture: bytes | str) -> bytes:
    """Return a picture's bytes, also where MLflow's server left them in base64, as in "inputs".

    No picture's file consists of base64's letters alone.
    """
    try:
        return base64.b64decode(picture, validate=True)
    except ValueError:
        return bytes(picture)  # type: ignore[arg-type] # a text that is no base64 is refused here


def _plain(value: Any) -> Any:
    """Return a number, text or a list of them."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


mlflow.models.set_model(SavedModel())
