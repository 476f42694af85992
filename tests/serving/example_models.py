"""A model for Classify and Regress, for the tests that need one."""

from pathlib import Path
from typing import Any


def build_examples(path: Path) -> None:
    """Write a model whose signatures take tf.Examples with a float feature x."""
    import tensorflow as tf

    class Examples(tf.Module):  # type: ignore[misc]
        def x(self, inputs: Any) -> Any:
            return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]

        def labels(self, x: Any) -> Any:
            return tf.tile(tf.constant([["low", "high"]]), [tf.shape(x)[0], 1])

        def classify(self, inputs: Any) -> Any:
            x = self.x(inputs)
            return {"classes": self.labels(x), "scores": tf.stack([1 - x, x], axis=1)}

        def scores_only(self, inputs: Any) -> Any:
            return {"scores": tf.stack([self.x(inputs)] * 2, axis=1)}

        def classes_only(self, inputs: Any) -> Any:
            return {"classes": self.labels(self.x(inputs))}

        def regress(self, inputs: Any) -> Any:
            return {"outputs": 2 * self.x(inputs)}

        def column(self, inputs: Any) -> Any:
            return {"outputs": 3 * self.x(inputs)[:, None]}

        def wide(self, inputs: Any) -> Any:
            return {"outputs": tf.stack([self.x(inputs)] * 2, axis=1)}

        def one_row(self, inputs: Any) -> Any:
            return {"outputs": self.x(inputs)[:1]}

        def other(self, text: Any) -> Any:
            return {"outputs": tf.strings.length(text)}

    model = Examples()
    names = ("classify", "scores_only", "classes_only", "column", "wide", "one_row", "regress")
    signatures = {
        name: tf.function(getattr(model, name)).get_concrete_function(
            tf.TensorSpec([None], tf.string, name="inputs")
        )
        for name in names
    }
    signatures["other"] = tf.function(model.other).get_concrete_function(
        tf.TensorSpec([None], tf.string, name="text")
    )
    signatures["serving_default"] = signatures["regress"]
    tf.saved_model.save(model, str(path), signatures)
