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


def build_pair(path: Path, factor: float) -> None:
    """Write a model with the pair `decode` and `predict_image`, that tells how many rows it saw."""
    import tensorflow as tf

    class Pair(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(factor)
            self.names = tf.constant(["even", "odd"])

        def decode(self, image_bytes: Any) -> Any:
            numbers = tf.strings.to_number(image_bytes, tf.int32)
            return {"image": numbers[:, None] * tf.ones([1, 2], tf.int32)}

        def predict_image(self, image: Any) -> Any:
            return {
                "scores": tf.cast(image, tf.float32) * self.factor,
                "labels": tf.gather(self.names, image[:, 0] % 2),
                "rows": tf.fill(tf.shape(image)[:1], tf.shape(image)[0]),
            }

        def serve(self, image_bytes: Any) -> Any:
            return self.predict_image(self.decode(image_bytes)["image"])

    model = Pair()
    files = tf.TensorSpec([None], tf.string, name="image_bytes")
    image = tf.TensorSpec([None, 2], tf.int32, name="image")
    signatures = {
        "serving_default": tf.function(model.serve).get_concrete_function(files),
        "decode": tf.function(model.decode).get_concrete_function(files),
        "predict_image": tf.function(model.predict_image).get_concrete_function(image),
    }
    tf.saved_model.save(model, str(path), signatures)


def build_stateful(path: Path) -> None:
    """Write a model that counts its calls, and one signature that only reads the count."""
    import tensorflow as tf

    class Counter(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.calls = tf.Variable(0)

        def count(self, x: Any) -> Any:
            return {"y": x + self.calls.assign_add(1)}

        def read(self, x: Any) -> Any:
            return {"y": x + self.calls}

    model, x = Counter(), tf.TensorSpec([None], tf.int32, name="x")
    signatures = {
        "serving_default": tf.function(model.count).get_concrete_function(x),
        "read": tf.function(model.read).get_concrete_function(x),
    }
    tf.saved_model.save(model, str(path), signatures)


def build_table(path: Path, words: Path) -> None:
    """Write a model that looks words up in a table, filled from a file when it is loaded."""
    import tensorflow as tf

    class Table(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = tf.saved_model.Asset(str(words))
            self.shift = tf.Variable(100, dtype=tf.int64)
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    self.words, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
                ), -1,
            )  # fmt: skip

        def find(self, word: Any) -> Any:
            return {"place": self.table.lookup(word) + self.shift}

    model = Table()
    function = tf.function(model.find).get_concrete_function(
        tf.TensorSpec([None], tf.string, name="word")
    )
    tf.saved_model.save(model, str(path), {"serving_default": function})


def build_tf1(path: Path) -> None:
    """Write a model as TensorFlow 1 did: a flat graph, with variables that are references."""
    import tensorflow as tf

    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        weights = v1.get_variable("w", initializer=tf.constant([[1.0], [2.0], [3.0]]),
                                  use_resource=False)  # fmt: skip
        y = tf.identity(tf.matmul(x, weights), "y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": y})
