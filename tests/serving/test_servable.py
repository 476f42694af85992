from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serving.config import LoadOptions
from serving.errors import Code, FailedPrecondition, InvalidArgument, LoadError, ModelError
from serving.predict import predict
from serving.servable import Servable, load_servable


@pytest.fixture(scope="module")
def numbers(saved_models: Path) -> Iterator[Servable]:
    servable = load_servable("numbers", 1, saved_models / "numbers", LoadOptions())
    yield servable
    servable.close()


def test_feed_is_not_checked_against_the_declared_shape(numbers: Servable) -> None:
    # Declared as [-1, 1]; TF Serving answers it, `tf.saved_model.load` would not.
    answer = predict(numbers, "logarithm", {"x": np.array([1.0], np.float32)})

    np.testing.assert_array_equal(answer.outputs["y"], [0.0])


def test_output_filter_computes_what_it_names_in_its_order(numbers: Servable) -> None:
    inputs = {"a": np.array([1.0], np.float32), "b": np.array([7], np.int32)}

    answer = predict(numbers, "two", inputs, ["wide", "raw_bytes"])

    assert list(answer.outputs) == ["wide", "raw_bytes"]
    assert answer.outputs["raw_bytes"].tolist() == [b"7"]


def test_bytes_keep_their_trailing_zeros(numbers: Servable) -> None:
    text = np.array([b"a\0\0", b"\0"], dtype=object)

    assert predict(numbers, "echo", {"text": text}).outputs["text"].tolist() == [b"a\0\0", b"\0"]


def test_prediction_tells_what_made_it(numbers: Servable) -> None:
    answer = predict(numbers, "", {"x": np.array([1.0], np.float32)})

    assert (answer.model_name, answer.version) == ("numbers", 1)
    assert answer.signature_name == "serving_default"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["b"],
            "input size does not match signature: 1!=2 len({b}) != len({a,b}). "
            "Sent extra: {}. Missing but required: {a}.",
        ),
        (["a", "z"], "Signature input alias: b not found in request"),
    ],
)
def test_inputs_that_do_not_fit_the_signature(
    numbers: Servable, names: list[str], message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        predict(numbers, "two", {name: np.zeros(1, np.float32) for name in names})

    assert message in caught.value.message


def test_unknown_signature_output_and_repeated_output(numbers: Servable) -> None:
    x = {"x": np.zeros(1, np.float32)}

    with pytest.raises(FailedPrecondition, match='Serving signature key "s" not found.'):
        predict(numbers, "s", x)
    with pytest.raises(InvalidArgument, match=r"not found in signature: z .* in the set \{y\}"):
        predict(numbers, "", x, ["z"])
    with pytest.raises(InvalidArgument, match="duplicate output tensor alias: y"):
        predict(numbers, "", x, ["y", "y"])


def test_wrong_type_is_refused_by_tensorflow(numbers: Servable) -> None:
    with pytest.raises(ModelError, match=r"Expects arg\[0\] to be float but double") as caught:
        predict(numbers, "", {"x": np.zeros(1, np.float64)})

    assert caught.value.code is Code.INVALID_ARGUMENT


def test_model_that_takes_too_long_is_given_up(saved_models: Path) -> None:
    servable = load_servable("cats", 1, saved_models / "cats", LoadOptions())
    image = {"image_bytes": np.array([b"picture"], dtype=object)}

    with pytest.raises(ModelError) as caught:
        predict(servable, "slow", image, timeout_ms=100)

    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_graph_with_other_tags_is_not_there(saved_models: Path) -> None:
    with pytest.raises(LoadError, match="tags"):
        load_servable("cats", 1, saved_models / "cats", LoadOptions(tags=("tpu",)))
