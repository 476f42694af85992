"""The gRPC services of the real server, through tensorflow-serving-api's own stubs."""

import time
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


@pytest.fixture(scope="module")
def stub(server: Any) -> Any:
    channel = grpc.insecure_channel(
        server.addresses["gRPC"],
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    channel.close()


@pytest.fixture(scope="module")
def model_stub(server: Any) -> Any:
    with server.channel as channel:
        yield model_service_pb2_grpc.ModelServiceStub(channel)


def request_for(signature_name: str = "", name: str = "numbers", **inputs: Any) -> Any:
    import tensorflow as tf

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature_name
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def test_outputs_are_typed_fields(stub: Any) -> None:
    request = request_for("two", a=np.array([0.5, 2], np.float32), b=np.array([1, 2], np.int32))

    outputs = stub.Predict(request, timeout=60).outputs

    assert list(outputs["a"].float_val) == [0.5, 2]
    assert list(outputs["wide"].int_val) == [2, 3]
    assert list(outputs["raw_bytes"].string_val) == [b"1", b"2"]
    assert list(outputs["total"].float_val) == [2.5]
    assert not any(tensor.tensor_content for tensor in outputs.values())


def test_answer_names_the_version_and_signature_that_made_it(stub: Any) -> None:
    spec = stub.Predict(request_for(x=np.array([1], np.float32)), timeout=60).model_spec

    assert (spec.name, spec.version.value, spec.signature_name) == ("numbers", 1, "serving_default")


def test_output_filter(stub: Any) -> None:
    request = request_for("two", a=np.array([1], np.float32), b=np.array([1], np.int32))
    request.output_filter.append("wide")

    assert list(stub.Predict(request, timeout=60).outputs) == ["wide"]


def test_messages_over_four_megabytes(stub: Any) -> None:
    text = b"x" * 10_000_000

    answer = stub.Predict(request_for("echo", text=[text]), timeout=60)

    assert answer.outputs["text"].string_val[0] == text


def assert_refused(call: Any, request: Any, code: grpc.StatusCode, message: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    assert caught.value.code() is code
    assert message in str(caught.value.details())


X = np.array([1], np.float32)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (lambda: request_for(name=""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (lambda: request_for(name="none", x=X), "NOT_FOUND", "request: Latest(none)"),
        (lambda: request_for("s", x=X), "FAILED_PRECONDITION", 'signature key "s" not found.'),
        (
            lambda: request_for("two", b=X),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({b}) != len({a,b}). "
            "Sent extra: {}. Missing but required: {a}.",
        ),
        (
            lambda: request_for(x=np.array([1], np.float64)),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be float",
        ),
    ],
)
def test_faults_have_the_code_and_words_of_tensorflow_serving(
    stub: Any, request_: Any, code: str, message: str
) -> None:
    assert_refused(stub.Predict, request_(), grpc.StatusCode[code], message)


def test_version_that_is_not_there_and_label(stub: Any) -> None:
    version, label = request_for(x=X), request_for(x=X)
    version.model_spec.version.value = 9
    label.model_spec.version_label = "stable"

    assert_refused(
        stub.Predict, version, grpc.StatusCode.NOT_FOUND, "request: Specific(numbers, 9)"
    )
    assert_refused(
        stub.Predict,
        label,
        grpc.StatusCode.INVALID_ARGUMENT,
        "Unrecognized servable version label: stable",
    )


def test_long_message_is_cut(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_for(name="n" * 5000, x=X), timeout=60)

    details = str(caught.value.details())
    assert len(details) == 1024
    assert details.endswith("n...TRUNCATED")


def test_metadata_is_a_signature_def_map(stub: Any) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "flowers"

    response = stub.GetModelMetadata(request, timeout=60)

    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def["serving_default"].outputs) == {"labels", "scores"}
    assert response.model_spec.version.value == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [([], "must specify at least one"), (["x"], "Metadata field x is not supported")],
)
def test_other_metadata_is_refused(stub: Any, fields: list[str], message: str) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "flowers"

    assert_refused(stub.GetModelMetadata, request, grpc.StatusCode.INVALID_ARGUMENT, message)


def test_request_without_a_model_is_told_so(stub: Any, model_stub: Any) -> None:
    for call, kind in (
        (stub.Predict, predict_pb2.PredictRequest),
        (stub.Classify, classification_pb2.ClassificationRequest),
        (stub.Regress, regression_pb2.RegressionRequest),
        (stub.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest),
        (model_stub.GetModelStatus, get_model_status_pb2.GetModelStatusRequest),
    ):
        assert_refused(call, kind(), grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_model_status(model_stub: Any) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "flowers"

    (status,) = model_stub.GetModelStatus(request, timeout=60).model_version_status

    assert status.version == 1
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert status.status.error_code == 0


def test_model_status_of_an_unknown_model(model_stub: Any) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "none"

    assert_refused(
        model_stub.GetModelStatus,
        request,
        grpc.StatusCode.NOT_FOUND,
        "Could not find any versions of model none",
    )


@pytest.mark.parametrize(
    ("left_s", "timeout_ms"), [(None, 0), (0.0001, 1), (0.3, 512), (1.024, 1024), (60, 65536)]
)
def test_what_is_left_of_a_clients_time_bounds_the_model_within_a_factor_of_two(
    left_s: float | None, timeout_ms: int
) -> None:
    from serving.grpc_service import model_timeout_ms

    assert model_timeout_ms(left_s) == timeout_ms


def test_model_does_not_run_on_for_a_client_that_has_given_up(server: Any, stub: Any) -> None:
    request = request_for("slow", name="flowers", image_bytes=[b"picture"])

    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    # The server counts a call when its model has ended; the signature itself takes 1.5 s.
    began = time.monotonic()
    counted = 'request_count{model_name="flowers",status="DEADLINE_EXCEEDED"} 1.0'
    while counted not in server.call("/monitoring/prometheus/metrics")[1]:
        assert time.monotonic() - began < 1.0
        time.sleep(0.02)
