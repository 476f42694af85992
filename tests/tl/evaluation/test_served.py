"""Run a published model over files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.errors import PredictionError
from tl.evaluation.metrics import classification_metrics
from tl.evaluation.served import load_served_model


def test_reported_accuracy_is_what_the_served_signature_reaches(trained: Any, served: Any) -> None:
    examples = trained.plan.data.side("test")
    names = trained.plan.data.class_names

    answers = served.loaded.signatures["serving_default"]
    hits = []
    import tensorflow as tf

    for example in examples:
        best = answers(image_bytes=tf.constant([example.read()]))["labels"].numpy()[0, 0]
        hits.append(best.decode() == names[example.label])

    exported = trained.result.exported
    assert exported.measured_on == "test"
    assert exported.metrics["n_pictures"] == len(examples)
    assert exported.metrics["top_1_accuracy"] == np.mean(hits)
    assert np.mean(hits) > 0


def test_reported_figures_are_those_of_the_served_probabilities(trained: Any, served: Any) -> None:
    examples = trained.plan.data.side("test")
    probabilities = served.answers(example.read() for example in examples)

    again = classification_metrics(
        probabilities, [example.label for example in examples], trained.plan.data.class_names
    )

    exported = dict(trained.result.exported.metrics)
    assert again.pop("log_loss") == pytest.approx(exported.pop("log_loss"), rel=1e-4)
    assert again == exported


def test_more_files_than_a_batch_come_back_in_order(trained: Any, served: Any) -> None:
    files = [example.read() for example in trained.plan.data.pictures.examples] * 2

    probabilities = served.answers(iter(files))
    answers = served.predict(files)

    assert probabilities.shape == (72, 3)
    assert np.allclose(probabilities[:36], probabilities[36:], atol=1e-5)
    assert np.allclose(answers["scores"], -np.sort(-probabilities, axis=1), atol=1e-5)
    assert len({row.tobytes() for row in probabilities[:36].round(4)}) > 20


def test_file_that_is_no_picture_is_named_as_such(served: Any) -> None:
    with pytest.raises(PredictionError, match="cannot decode a picture"):
        served.predict([b"no picture"])


@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_folder_without_a_sound_model_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)

    with pytest.raises(PredictionError, match="cannot load the SavedModel"):
        load_served_model(tmp_path)
