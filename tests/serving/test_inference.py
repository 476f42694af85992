"""Classify and Regress of a real server, over both interfaces."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.example_models import build_examples

CLASSIFY, REGRESS = "/v1/models/examples:classify", "/v1/models/examples:regress"
FREE = ("--port=0", "--rest_api_port=0")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Any]) -> Any:
    folder = tmp_path_factory.mktemp("served")
    build_examples(folder / "examples" / "1")
    server = start_server(str(folder), *FREE)
    server.wait_for_addresses()
    return server


@pytest.fixture(scope="module")
def stub(running: Any) -> Any:
    with running.channel as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def asked(signature: str = "", *values: float) -> dict[str, Any]:
    return {"signature_name": signature, "examples": [{"x": value} for value in values]}


def request(kind: Any, signature: str, *values: float) -> Any:
    message = kind()
    message.model_spec.name, message.model_spec.signature_name = "examples", signature
    for value in values:
        example = message.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(value)
    return message


def test_classes_have_their_scores_over_rest(running: Any) -> None:
    assert running.call(CLASSIFY, asked("classify", 0.25, 1.0)) == (
        200, {"results": [[["low", 0.75], ["high", 0.25]], [["low", 0.0], ["high", 1.0]]]}
    )  # fmt: skip
    assert running.call(CLASSIFY, asked("scores_only", 0.5)) == (
        200, {"results": [[["", 0.5], ["", 0.5]]]}
    )  # fmt: skip
    assert running.call(CLASSIFY, asked("classes_only", 0.5)) == (
        200, {"results": [[["low", 0.0], ["high", 0.0]]]}
    )  # fmt: skip


def test_classes_have_their_scores_over_grpc(stub: Any) -> None:
    response = stub.Classify(
        request(classification_pb2.ClassificationRequest, "classify", 0.25, 1.0), timeout=60
    )

    rows = [
        [(one.label, one.score) for one in row.classes] for row in response.result.classifications
    ]
    assert rows == [[("low", 0.75), ("high", 0.25)], [("low", 0.0), ("high", 1.0)]]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("examples", 1, "classify")


@pytest.mark.parametrize(("signature", "factor"), [("regress", 2), ("column", 3), ("", 2)])
def test_values_are_the_same_over_rest_and_grpc(
    signature: str, factor: int, running: Any, stub: Any
) -> None:
    response = stub.Regress(
        request(regression_pb2.RegressionRequest, signature, 0.5, -3.0), timeout=60
    )

    values = [one.value for one in response.result.regressions]
    assert values == [0.5 * factor, -3.0 * factor]
    assert running.call(REGRESS, asked(signature, 0.5, -3.0)) == (200, {"results": values})
    assert response.model_spec.signature_name == (signature or "serving_default")


def test_float32_is_written_in_the_shortest_form(running: Any) -> None:
    assert running.call(REGRESS, asked("", 0.1))[1] == {"results": [0.2]}
    assert running.call(REGRESS, asked("", 5e37))[1] == {"results": [1e38]}
    status, answer = running.call(REGRESS, asked("", 3e38))
    assert (status, answer["results"]) == (200, [float("inf")])


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (REGRESS, asked("none", 1.0), "No signature was found with the name: none"),
        (REGRESS, {"examples": []}, "JSON Value: "),
        (REGRESS, asked("classify", 1.0), "Expected one output Tensor."),
        (REGRESS, asked("other", 1.0), "No regression inputs found in SignatureDef: "),
        (REGRESS, asked("scores_only", 1.0), "No regression outputs found in SignatureDef: "),
        (REGRESS, asked("wide", 1.0), "Expected output Tensor shape to be either [batch_size] or "
         "[batch_size, 1] but got [1,2]"),
        (REGRESS, asked("one_row", 1.0, 2.0),
         "Input batch size did not match output batch size: 2 vs. 1"),
        (CLASSIFY, asked("regress", 1.0),
         "Expected classification signature outputs to contain at least one of"),
        (CLASSIFY, asked("other", 1.0), "No classification inputs found in SignatureDef: "),
        (REGRESS, {"examples": [{"y": 1.0}]}, "x"),
        (REGRESS, {"examples": [{"x": 1}]}, "x"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_400_in_words(
    path: str, body: Any, message: str, running: Any
) -> None:
    status, answer = running.call(path, body)

    assert status == 400, answer
    assert message in answer["error"]


def test_faults_have_the_same_words_over_grpc(stub: Any) -> None:
    for message, code, words in (
        (request(regression_pb2.RegressionRequest, "regress"), "INVALID_ARGUMENT",
         "Input is empty"),
        (request(regression_pb2.RegressionRequest, "other", 1.0), "FAILED_PRECONDITION",
         "No regression inputs found"),
        (request(regression_pb2.RegressionRequest, "none", 1.0), "INVALID_ARGUMENT",
         "No signature was found with the name: none"),
    ):  # fmt: skip
        with pytest.raises(grpc.RpcError) as caught:
            stub.Regress(message, timeout=60)
        assert caught.value.code() is grpc.StatusCode[code]
        assert words in str(caught.value.details())


def test_calls_are_counted_by_their_name(running: Any, stub: Any) -> None:
    running.call(REGRESS, asked("", 1.0))
    stub.Regress(request(regression_pb2.RegressionRequest, "", 1.0), timeout=60)

    _, page = running.call("/monitoring/prometheus/metrics")
    assert 'API="regress",entrypoint="REST"' in page
    assert 'API="Regress",entrypoint="GRPC"' in page


def tasks(*wanted: tuple[str, str], values: tuple[float, ...] = (0.25,)) -> Any:
    message = inference_pb2.MultiInferenceRequest()
    for method, signature in wanted:
        task = message.tasks.add()
        task.model_spec.name, task.model_spec.signature_name = "examples", signature
        task.method_name = f"tensorflow/serving/{method}"
    for value in values:
        example = message.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(value)
    return message


def test_several_inferences_of_the_same_examples_come_in_one_answer(stub: Any) -> None:
    wanted = tasks(("classify", "classify"), ("regress", ""), values=(0.25, 1.0))

    classes, values = stub.MultiInference(wanted, timeout=60).results

    rows = classes.classification_result.classifications
    assert [[one.score for one in row.classes] for row in rows] == [[0.75, 0.25], [0.0, 1.0]]
    assert [one.value for one in values.regression_result.regressions] == [0.5, 2.0]
    assert (classes.model_spec.signature_name, classes.model_spec.version.value) == ("classify", 1)
    assert values.model_spec.signature_name == "serving_default"


def other_model() -> Any:
    message = tasks(("classify", "classify"), ("regress", "regress"))
    message.tasks[1].model_spec.name = "another"
    return message


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        (tasks(), "INVALID_ARGUMENT", "must specify at least one task"),
        (other_model(), "INVALID_ARGUMENT", "must access the same model name"),
        (tasks(("regress", ""), ("regress", "serving_default")), "INVALID_ARGUMENT",
         "Duplicate evaluation of signature: serving_default"),
        (tasks(("predict", "")), "UNIMPLEMENTED",
         "Unsupported signature method_name: tensorflow/serving/predict"),
        (tasks(("regress", ""), values=()), "INVALID_ARGUMENT", "Input is empty"),
        (tasks(("regress", "none")), "INVALID_ARGUMENT", "No signature was found with the name"),
    ],
)  # fmt: skip
def test_several_inferences_that_cannot_be_are_refused(
    wanted: Any, code: str, message: str, stub: Any
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(wanted, timeout=60)

    assert caught.value.code() is grpc.StatusCode[code]
    assert message in str(caught.value.details())
