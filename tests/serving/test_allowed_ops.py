"""Models that would write files or open connections are not loaded, and nothing of them is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.config import LoadOptions
from serving.errors import Code, LoadError
from serving.reaching_ops import REACHING_OPS
from serving.servable import load_servable

Harm = Callable[[Any], Any]


def save(path: Path, harm: Harm, where: str) -> None:
    """Write a model that does harm in a signature, in a branch of it, or when it is loaded."""

    class Model(tf.Module):  # type: ignore[misc]
        def serve(self, x: Any) -> Any:
            if where == "signature":
                with tf.control_dependencies([harm(x)]):
                    return {"y": x + 1}
            if where == "branch":

                def branch() -> Any:
                    with tf.control_dependencies([harm(x)]):
                        return x + 1

                return {"y": tf.cond(tf.size(x) > 99, branch, lambda: x + 1)}
            return {"y": x + 1}

    model = Model()
    signature = tf.function(model.serve).get_concrete_function(tf.TensorSpec([None], tf.float32))
    if where != "initialiser":
        tf.saved_model.save(model, str(path), {"serving_default": signature})
        return
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        y = tf.identity(x + 1, "y")
        builder = v1.saved_model.Builder(str(path))
        info = v1.saved_model.build_tensor_info
        definition = v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": definition}, main_op=tf.group(harm(x))
        )
        builder.save()


def load(path: Path, **options: Any) -> Any:
    return load_servable("model", 1, path, LoadOptions(**options))


@pytest.mark.parametrize("where", ["signature", "branch", "initialiser"])
def test_writing_files_is_refused_until_it_is_allowed(tmp_path: Path, where: str) -> None:
    written = tmp_path / "written"
    save(tmp_path / "1", lambda x: tf.io.write_file(str(written), "x"), where)

    with pytest.raises(
        LoadError, match=r"WriteFile \(can write files\).*--allow_ops=WriteFile"
    ) as e:
        load(tmp_path / "1")

    assert e.value.code is Code.PERMISSION_DENIED
    assert not written.exists()
    servable = load(tmp_path / "1", allowed_ops=frozenset({"WriteFile"}))
    x = np.zeros(1, np.float32)
    (name,) = servable.signatures["serving_default"].inputs
    assert servable.run("serving_default", {name: x}, ["y"])["y"].tolist() == [1]
    assert written.exists() == (where != "branch")
    servable.close()


def printed_to_a_file(x: Any) -> Any:
    return tf.print(x, output_stream="file:///tmp/never")


def python(x: Any) -> Any:
    return tf.py_function(lambda one: one, [x], tf.float32)


@pytest.mark.parametrize(
    ("harm", "name"), [(printed_to_a_file, "PrintV2"), (python, "EagerPyFunc")]
)
def test_other_ways_out_are_named(tmp_path: Path, harm: Harm, name: str) -> None:
    save(tmp_path / "1", harm, "signature")

    with pytest.raises(LoadError, match=name):
        load(tmp_path / "1")


def test_only_what_is_reached_counts(saved_models: Path) -> None:
    # Every SavedModel has operations to save itself, which no request reaches.
    assert b"SaveV2" in (saved_models / "cats" / "saved_model.pb").read_bytes()
    load(saved_models / "cats").close()


def test_names_are_those_of_tensorflow() -> None:
    from tensorflow.python.framework import op_def_registry

    known = [name for name in REACHING_OPS if op_def_registry.get(name) is not None]
    assert len(known) > 0.8 * len(REACHING_OPS)  # some are of other versions, or of Google's own
    assert {"WriteFile", "SaveV2", "PrintV2", "DataServiceDatasetV4"} <= set(known)
