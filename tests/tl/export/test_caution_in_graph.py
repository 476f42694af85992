"""What is fitted in numpy is what the exported graph computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.evaluation.caution import Caution, confidences
from tl.evaluation.strangeness import fit_strangeness


@pytest.fixture(scope="module")
def network() -> Any:
    """RGB of 8 x 8 -> logits of three classes and five features."""
    import keras

    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    features = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    return keras.Model(inputs, [keras.layers.Dense(3)(features), features])


@pytest.fixture(scope="module")
def views() -> Any:
    return np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def published(network: Any, views: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The caution, and the loaded SavedModel that has it."""
    from tl.evaluation.served import load_served_model
    from tl.export.saved_model import write_saved_model

    logits, features = (np.asarray(one) for one in network(views.astype(np.float32)))
    strangeness = fit_strangeness(features[:30], logits[:30].argmax(axis=1), features[30:])
    confidence = confidences(logits, 2.5, "single_label")
    caution = Caution(2.5, float(np.median(confidence)), strangeness)
    folder: Path = tmp_path_factory.mktemp("cautious")
    write_saved_model(
        network, folder, class_names=("a", "b", "c"), image_size=(8, 8), caution=caution
    )
    return caution, load_served_model(folder)


def test_temperature_threshold_and_strangeness_are_those_of_numpy(
    network: Any, views: Any, published: Any
) -> None:
    caution, served = published
    logits, features = (np.asarray(one) for one in network(views.astype(np.float32)))
    said = served.judge_views(views)

    scaled = logits / 2.5
    shares = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    assert np.allclose(said["answers"], shares, atol=1e-5)
    confidence = confidences(logits, 2.5, "single_label")
    clear = np.abs(confidence - caution.abstain_below) > 1e-5
    assert np.array_equal(said["abstain"][clear], (confidence < caution.abstain_below)[clear])
    assert 0 < said["abstain"].mean() < 1
    expected = caution.strangeness.scores(features)
    assert np.allclose(said["ood_score"], expected, rtol=2e-3, atol=1e-4)


def test_every_way_to_ask_has_the_same_probabilities(views: Any, published: Any) -> None:
    import tensorflow as tf

    _, served = published
    ask = served.loaded.signatures
    every = ask["assess"](image=tf.constant(views))["probabilities"].numpy()
    tensor = ask["predict_tensor"](image=tf.constant(views, tf.float32))
    assert set(tensor) == {"probabilities"}  # one output: JSON answers stay plain lists
    assert np.allclose(tensor["probabilities"], every, atol=1e-6)
    best = ask["predict_image"](image=tf.constant(views))
    assert set(best) == {"labels", "scores", "abstain", "ood_score"}
    assert np.allclose(best["scores"], -np.sort(-every, axis=1), atol=1e-6)
    png = tf.io.encode_png(views[0]).numpy()
    example = tf.train.Example(
        features=tf.train.Features(
            feature={"image_bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))}
        )
    )
    classes = ask["classify"](inputs=tf.constant([example.SerializeToString()]))
    assert np.allclose(classes["scores"][0], every[0], atol=1e-5)


def test_model_without_caution_answers_as_before(network: Any, views: Any, tmp_path: Path) -> None:
    from tl.evaluation.served import load_served_model
    from tl.export.saved_model import write_saved_model

    write_saved_model(network, tmp_path, class_names=("a", "b", "c"), image_size=(8, 8))
    said = load_served_model(tmp_path).judge_views(views)
    assert set(said) == {"answers"}
