"""Models of every kind that a SavedModel can be, each as small as it can be."""

from collections.abc import Collection
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


def build_tf1_table(path: Path, *, init: str) -> None:
    """Write a model of TensorFlow 1 with a variable, and a table that an operation fills.

    Args:
        path: of the version.
        init: `main_op` or `legacy_init_op`, the two ways to say which operation.
    """
    import tensorflow as tf

    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        word = v1.placeholder(tf.string, [None], "word")
        shift = v1.get_variable("shift", initializer=tf.constant(100, tf.int64))
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["oak", "ash"], tf.constant([0, 1], tf.int64)), -1
        )
        place = tf.identity(table.lookup(word) + shift, "place")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"word": info(word)}, {"place": info(place)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, **{init: v1.tables_initializer()}
        )
        builder.save()


def build_composite(path: Path) -> None:
    """Write a model of TensorFlow 1 with sparse and ragged outputs, and one that is plain."""
    import tensorflow as tf

    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        info = v1.saved_model.build_tensor_info
        outputs = {
            "sparse": tf.sparse.from_dense(x),
            "ragged": tf.RaggedTensor.from_tensor(x),
            "serving_default": 2 * x,
        }
        signatures = {
            name: v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)})
            for name, y in outputs.items()
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


def build_types(path: Path, names: Collection[str]) -> None:
    """Write a model with a signature for each type of tensor, which gives back what it gets."""
    import tensorflow as tf

    model = tf.Module()
    signatures = {
        name: tf.function(lambda x: {"y": tf.identity(x)}).get_concrete_function(
            tf.TensorSpec(None, tf.as_dtype(name), name="x")  # of any rank
        )
        for name in names
    }
    tf.saved_model.save(model, str(path), signatures)


def build_defaults(path: Path) -> None:
    """Write a model whose input `factor` may be left out, and is 3 then."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    model, number = tf.Module(), tf.TensorSpec([None], tf.float32)
    function = tf.function(lambda x, factor: {"y": x * factor}).get_concrete_function(
        x=number, factor=tf.TensorSpec([], tf.float32)
    )
    tf.saved_model.save(model, str(path), {"serving_default": function})
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    signature.defaults["factor"].CopyFrom(tf.make_tensor_proto(3.0))
    file.write_bytes(saved.SerializeToString())


def build_of_unknown_op(path: Path) -> None:
    """Write a model with an operation that TensorFlow does not have."""
    from tensorflow.core.protobuf import saved_model_pb2

    build_tf1(path)
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0]
    next(node for node in graph.graph_def.node if node.op == "MatMul").op = "OurOwnMatMul"
    next(
        op for op in graph.meta_info_def.stripped_op_list.op if op.name == "MatMul"
    ).name = "OurOwnMatMul"
    file.write_bytes(saved.SerializeToString())
