"""The SavedModel as MLflow's generic kind of model; copied into each logged model, needs no tl.

    model = mlflow.pyfunc.load_model("models:/flowers@champion")
    model.predict(pandas.DataFrame({"image_bytes": [open("rose.jpg", "rb").read()]}))

`mlflow models serve --env-manager local` answers the same, with the bytes in base64.
"""

from typing import Any

import mlflow
import pandas as pd

COLUMN = "image_bytes"
BATCH = 32


class SavedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Encoded pictures -> a row of answers each."""

    def load_context(self, context: Any) -> None:
        """Load the SavedModel that lies beside."""
        import tensorflow as tf

        self._tf = tf
        self._loaded = tf.saved_model.load(context.artifacts["saved_model"])

    # A table is the one type from which MLflow reads no schema; without any it warns.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer a table with a column of encoded pictures, or a list of them.

        Returns:
            ``labels`` and ``scores``, lists of the best classes, and what else the model says; of a
            model of numbers ``outputs``.
        """
        pictures = model_input[COLUMN] if hasattr(model_input, "columns") else model_input
        files = [bytes(picture) for picture in pictures]
        answer = self._loaded.signatures["serving_default"]
        rows: dict[str, list[Any]] = {}
        for start in range(0, len(files), BATCH):
            said = answer(image_bytes=self._tf.constant(files[start : start + BATCH]))
            for name, values in said.items():
                rows.setdefault(name, []).extend(map(_plain, values.numpy()))
        return pd.DataFrame(rows)


def _plain(value: Any) -> Any:
    """Return a number, text or a list of them."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


mlflow.models.set_model(SavedModel())
