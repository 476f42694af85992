"""Any SavedModel is served: each kind through a real server, over REST and over gRPC."""

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from .example_models import (
    build_composite,
    build_defaults,
    build_of_unknown_op,
    build_stateful,
    build_table,
    build_tf1,
    build_tf1_table,
    build_types,
)
from .under_load import wait_for

# Of each type three values, the largest and smallest among them; those that JSON has no form for
# are TF Serving's own gap.
TYPES: dict[str, list[Any]] = {
    "bool": [True, False, True],
    **{
        name: [np.iinfo(name).min, np.iinfo(name).max, 1]
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "float32": [0.1, -3.4e38, 1.0],
    "float64": [0.1, -1.7e308, 1.0],
    "string": ["", "ö", "a"],
    "half": [0.5, -65504, 1.0],
    "bfloat16": [0.5, -256.0, 1.0],
    "complex64": [1j, -2, 0.5],
    "complex128": [1j, -2, 0.5],
}
NOT_IN_JSON = {"uint16", "half", "bfloat16", "complex64", "complex128"}


@pytest.fixture(scope="module")
def any_server(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("any")
    (folder / "words.txt").write_text("oak\nash\nelm\n")
    models = folder / "models"
    build_tf1(models / "tf1" / "1")
    build_tf1_table(models / "main_op" / "1", init="main_op")
    build_tf1_table(models / "legacy_init_op" / "1", init="legacy_init_op")
    build_table(models / "table" / "1", folder / "words.txt")
    (folder / "words.txt").unlink()  # the model has its own copy
    build_stateful(models / "stateful" / "1")
    build_types(models / "types" / "1", TYPES)
    build_defaults(models / "defaults" / "1")
    build_composite(models / "composite" / "1")
    build_of_unknown_op(models / "unknown_op" / "1")
    server = start_server(str(models), "--port=0", "--rest_api_port=0", "--enable_batching")
    server.addresses["REST"] = server.wait_for_log(r"REST  (\S+),")[1]
    server.addresses["gRPC"] = server.wait_for_log(r"gRPC  (\S+)")[1]
    server.wait_for_log("unknown_op version 1 cannot be served")  # the last of them
    return server


@pytest.fixture(scope="module")
def stub(any_server: Any) -> Any:
    with any_server.channel as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def over_rest(server: Any, model: str, inputs: Any, signature: str = "serving_default") -> Any:
    body = {"signature_name": signature, "inputs": inputs}
    status, answer = server.call(f"/v1/models/{model}:predict", body)
    return answer["outputs"] if status == 200 else (status, answer["error"])


def over_grpc(stub: Any, model: str, signature: str = "", **inputs: Any) -> Any:
    """Return the one output, or the error that came in its place."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    try:
        (output,) = stub.Predict(request, timeout=60).outputs.values()
    except grpc.RpcError as error:
        return error
    return tf.make_ndarray(output).tolist()


def test_flat_graph_of_tensorflow_1(any_server: Any, stub: Any) -> None:
    x = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]

    assert over_rest(any_server, "tf1", x) == [[1.0], [3.0]]
    assert over_grpc(stub, "tf1", x=np.array(x, np.float32)) == [[1.0], [3.0]]


@pytest.mark.parametrize("model", ["main_op", "legacy_init_op", "table"])
def test_tables_are_filled_before_the_first_request(model: str, any_server: Any, stub: Any) -> None:
    words = ["ash", "oak", "fir"]

    assert over_rest(any_server, model, words) == [101, 100, 99]
    assert over_grpc(stub, model, word=words) == [101, 100, 99]


def test_variables_that_requests_change_are_kept_between_both_protocols(
    any_server: Any, stub: Any
) -> None:
    zero = np.zeros(1, np.int32)

    assert over_rest(any_server, "stateful", [0]) == [1]
    assert over_grpc(stub, "stateful", x=zero) == [2]
    assert over_rest(any_server, "stateful", [0], "read") == [2]
    assert over_grpc(stub, "stateful", "read", x=zero) == [2]


@pytest.mark.parametrize("shape", [(), (3,), (3, 1), (1, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("name", TYPES)
def test_tensors_of_every_type_and_rank_come_back_as_they_were(
    name: str, shape: tuple[int, ...], any_server: Any, stub: Any
) -> None:
    dtype = object if name == "string" else tf.as_dtype(name).as_numpy_dtype
    array = np.resize(np.array(TYPES[name], dtype), shape)
    sent = np.vectorize(str.encode, otypes=[object])(array) if name == "string" else array

    assert over_grpc(stub, "types", name, x=sent) == sent.tolist()
    if name in NOT_IN_JSON:
        status, error = over_rest(any_server, "types", [1], name)
        assert (status, "Conversion of JSON Value" in error) == (501, True)
    else:
        answer = over_rest(any_server, "types", array.tolist(), name)
        assert np.array_equal(np.array(answer, dtype), array)


def test_input_with_a_default_may_be_left_out(any_server: Any, stub: Any) -> None:
    x = np.array([1.0, 2.0], np.float32)

    assert over_grpc(stub, "defaults", x=x) == [3.0, 6.0]
    assert over_grpc(stub, "defaults", x=x, factor=np.float32(10)) == [10.0, 20.0]
    assert over_rest(any_server, "defaults", {"x": [1, 2], "factor": 10}) == [10.0, 20.0]


@pytest.mark.parametrize("signature", ["sparse", "ragged"])
def test_outputs_that_are_no_plain_tensors_are_refused_by_name(
    signature: str, any_server: Any, stub: Any
) -> None:
    x = np.ones((1, 2), np.float32)

    error = over_grpc(stub, "composite", signature, x=x)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    words = f"signature '{signature}' does not answer with plain tensors"
    assert error.details() == words
    assert over_rest(any_server, "composite", [[1, 1]], signature) == (501, words)
    # The other signatures of the model are served.
    assert over_grpc(stub, "composite", x=x) == over_rest(any_server, "composite", [[1, 1]])
    assert any_server.call("/v1/models/composite/metadata")[0] == 200


def test_operation_that_tensorflow_does_not_have_is_named(any_server: Any) -> None:
    wait_for(lambda: any_server.call("/v1/models/unknown_op")[0] == 200)
    (status,) = any_server.call("/v1/models/unknown_op")[1]["model_version_status"]

    assert status["state"] == "END"
    assert "OurOwnMatMul" in status["status"]["error_message"]
