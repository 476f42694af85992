"""The SavedModel contract, held on a model that was really trained and published."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.errors import ExportError

SIGNATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "serving_default": (
        {"image_bytes": ("string", (None,))},
        {"labels": ("string", (None, 3)), "scores": ("float32", (None, 3))},
    ),
    "decode": (
        {"image_bytes": ("string", (None,))},
        {"image": ("uint8", (None, 32, 32, 3))},
    ),
    "predict_image": (
        {"image": ("uint8", (None, 32, 32, 3))},
        {"labels": ("string", (None, 3)), "scores": ("float32", (None, 3))},
    ),
    "predict_tensor": (
        {"image": ("float32", (None, 32, 32, 3))},
        {"probabilities": ("float32", (None, 3))},
    ),
    "assess": (
        {"image": ("uint8", (None, 32, 32, 3))},
        {"probabilities": ("float32", (None, 3))},
    ),
    "embed": ({"image_bytes": ("string", (None,))}, {"features": ("float32", (None, 1920))}),
    "classify": (
        {"inputs": ("string", (None,))},
        {"classes": ("string", (None, 3)), "scores": ("float32", (None, 3))},
    ),
}


def described(specs: Any) -> dict[str, Any]:
    return {name: (spec.dtype.name, tuple(spec.shape)) for name, spec in specs.items()}


def test_every_signature_has_the_names_types_and_shapes_of_the_contract(served: Any) -> None:
    assert set(served.loaded.signatures) == set(SIGNATURES)
    for name, (inputs, outputs) in SIGNATURES.items():
        signature = served.loaded.signatures[name]
        assert described(signature.structured_input_signature[1]) == inputs, name
        found = described(signature.structured_outputs)
        if name in ("serving_default", "predict_image", "assess"):  # where the model has them
            for caution, kind in (("abstain", "bool"), ("ood_score", "float32")):
                assert found.pop(caution, (kind, (None,))) == (kind, (None,)), name
        assert {key: kind for key, (kind, _) in found.items()} == {
            key: kind for key, (kind, _) in outputs.items()
        }, name


@pytest.fixture(scope="module")
def files(trained: Any) -> Any:
    import tensorflow as tf

    return tf.constant([one.read() for one in trained.plan.data.pictures.examples[::4]])


@pytest.fixture(scope="module")
def answers(served: Any, files: Any) -> dict[str, dict[str, Any]]:
    """What every signature says of the same files."""
    import tensorflow as tf

    ask = served.loaded.signatures
    view = ask["decode"](image_bytes=files)["image"]
    records = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image_bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[file]))
                }
            )
        ).SerializeToString()
        for file in files.numpy()
    ]
    answers = {
        "serving_default": ask["serving_default"](image_bytes=files),
        "decode": {"image": view},
        "predict_image": ask["predict_image"](image=view),
        "predict_tensor": ask["predict_tensor"](image=tf.cast(view, tf.float32)),
        "assess": ask["assess"](image=view),
        "embed": ask["embed"](image_bytes=files),
        "classify": ask["classify"](inputs=tf.constant(records)),
    }
    return {
        name: {key: value.numpy() for key, value in answer.items()}
        for name, answer in answers.items()
    }


def test_answers_have_the_shapes_of_the_contract(answers: dict[str, Any], files: Any) -> None:
    for name, (_, outputs) in SIGNATURES.items():
        for key, (_, shape) in outputs.items():
            assert answers[name][key].shape == (len(files), *shape[1:]), (name, key)


def test_serving_default_is_exactly_predict_image_after_decode(answers: dict[str, Any]) -> None:
    for key in ("labels", "scores"):
        assert np.array_equal(answers["serving_default"][key], answers["predict_image"][key])


def test_signatures_say_the_same(answers: dict[str, Any], trained: Any) -> None:
    names = [name.encode() for name in trained.plan.data.class_names]
    every = answers["predict_tensor"]["probabilities"]

    assert np.allclose(every.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(answers["assess"]["probabilities"], every, atol=1e-6)
    assert np.allclose(answers["classify"]["scores"], every, atol=1e-6)
    assert answers["classify"]["classes"].tolist() == [names] * len(every)
    best = np.argsort(-every, axis=1)
    assert answers["serving_default"]["labels"].tolist() == [
        [names[place] for place in row] for row in best
    ]
    top = np.take_along_axis(every, best, axis=1)
    assert np.allclose(answers["serving_default"]["scores"], top, atol=1e-6)


def test_scores_tell_pictures_apart(answers: dict[str, Any]) -> None:
    every = answers["predict_tensor"]["probabilities"]

    assert np.ptp(every, axis=0).min() > 0.1  # else no comparison of scores shows anything


def test_embedding_and_head_give_the_scores(answers: dict[str, Any], trained: Any) -> None:
    model = trained.result.model
    logits = answers["embed"]["features"]
    inside = False
    for layer in model.layers:
        if inside:
            logits = layer(logits)
        inside = inside or layer.name == "features"
    exponents = np.exp(np.asarray(logits))

    scores = exponents / exponents.sum(axis=1, keepdims=True)
    assert np.allclose(scores, answers["predict_tensor"]["probabilities"], atol=1e-4)


def test_one_file_alone_is_answered_as_in_a_batch(
    served: Any, files: Any, answers: dict[str, Any]
) -> None:
    alone = served.loaded.signatures["serving_default"](image_bytes=files[2:3])

    assert alone["labels"].numpy().tolist() == answers["serving_default"]["labels"][2:3].tolist()
    assert np.allclose(alone["scores"], answers["serving_default"]["scores"][2:3], atol=1e-5)


def test_manifest_says_what_the_model_is(trained: Any) -> None:
    facts = json.loads((trained.version / "assets.extra" / "tl.json").read_text())

    assert facts["class_names"] == list(trained.plan.data.class_names)
    assert facts["fingerprint"] == trained.plan.data.pictures.fingerprint
    assert facts["image_size"] == [32, 32]
    output = str(trained.home / "models")
    assert facts["config"] == {**trained.plan.config.to_dict(), "output": output}
    assert facts["measured_on"] == "test"
    assert facts["metrics"] == trained.result.exported.metrics
    assert {"tl", "tensorflow", "keras", "python"} <= set(facts["versions"])


def test_split_travels_with_the_model(trained: Any) -> None:
    from tl.data.split import read_split

    stored = read_split(trained.version / "assets.extra" / "split.json")

    assert stored == trained.plan.data.split()


def test_warm_up_requests_are_answered(trained: Any, served: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = trained.version / "assets.extra" / "tf_serving_warmup_requests"
    sizes = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "colours"
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        answer = served.loaded.signatures[request.model_spec.signature_name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        sizes.append(answer["scores"].shape[0])

    assert sizes == [1, 4]


ALONE = """
import sys
sys.modules["keras"] = sys.modules["tl"] = None
import json
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
data = tf.constant([open(sys.argv[2], "rb").read()])
answer = model.signatures["serving_default"](image_bytes=data)
labels = [label.decode() for label in answer["labels"].numpy()[0]]
print(json.dumps([labels, answer["scores"].numpy()[0].tolist()]))
"""


def test_it_answers_where_neither_keras_nor_tl_can_be_imported(
    trained: Any, served: Any, tmp_path: Path
) -> None:
    picture = trained.plan.data.pictures.examples[0].path
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(trained.version), str(picture)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    labels, scores = json.loads(done.stdout)
    here = served.predict([picture.read_bytes()])
    assert labels == [label.decode() for label in here["labels"][0]]
    assert np.allclose(scores, here["scores"][0], atol=1e-6)


def test_a_folder_that_cannot_be_written_is_an_export_error(tmp_path: Path) -> None:
    import keras

    from tl.export.saved_model import write_saved_model

    (tmp_path / "file").write_text("")
    image = keras.Input((8, 8, 3))
    features = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, [keras.layers.Dense(2)(features), features])

    with pytest.raises(ExportError, match="cannot write the SavedModel"):
        write_saved_model(model, tmp_path / "file" / "1", class_names=["a", "b"], image_size=(8, 8))
