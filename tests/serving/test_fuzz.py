"""Random and mutated requests never end the server, and are never its own fault.

The quick tests send a tenth of what `make soak` sends.
"""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, predict_pb2

from .fuzzing import OWN_FAULT, mutated, so_many, within_memory
from .under_load import memory_mb

REST_BODIES, GRPC_MESSAGES = 50_000, 20_000
# Some are good requests by chance.
BODIES = {200: 1 / 200, 400: 1 / 2}
MESSAGES = {grpc.StatusCode.OK: 1 / 500, grpc.StatusCode.INVALID_ARGUMENT: 1 / 10}

VALID = [
    {"instances": [1.0, 2.5]},
    {"instances": [{"x": 1.0}, {"x": -3}]},
    {"inputs": {"x": [1.0, 2.0]}},
    {"inputs": [5]},
    {"signature_name": "two", "instances": [{"a": 1.5, "b": 7}]},
    {"signature_name": "two", "inputs": {"a": [1.5, 1e30], "b": [7, -8]}},
    {"signature_name": "echo", "instances": [{"b64": "YQAA"}, "text"]},
    {"signature_name": "logarithm", "instances": [[1.0], [0.0]]},
    {"signature_name": "half", "inputs": {"x": [1, 2]}},
    {"examples": [{"x": 0.5}], "context": {"y": [1, 2]}},
]
WORDS = ["instances", "inputs", "signature_name", "examples", "context", "b64", "x", "a", "b",
         "two", "echo", "serving_default"]  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(WORDS),
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=12,
)


bodies = st.one_of(
    st.binary(max_size=300),
    documents.map(lambda one: json.dumps(one).encode()),
    st.fixed_dictionaries({"instances": documents}).map(lambda one: json.dumps(one).encode()),
    st.fixed_dictionaries({"inputs": documents, "signature_name": st.sampled_from(["two", "echo"])})
    .map(lambda one: json.dumps(one).encode()),
    mutated([json.dumps(one).encode() for one in VALID]),
)  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(
    start_server: Callable[..., Any],
    put_version: Callable[[str, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fuzzed")
    put_version("numbers", folder / "numbers" / "1")
    server = start_server(str(folder), "--port=0", "--rest_api_port=0", "--enable_batching")
    server.wait_for_addresses()
    yield server
    assert server.call("/v1/models/numbers:predict", {"instances": [2.0]})[0] == 200
    assert "unforeseen" not in server.log.read_text()
    assert server.end() == 0


def send_bodies(server: Any, count: int) -> Counter[int]:
    host = server.rest.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    seen: Counter[int] = Counter()

    @so_many(count)
    @given(body=bodies, verb=st.sampled_from(["predict"] * 4 + ["classify", "regress"]))
    def send(body: bytes, verb: str) -> None:
        connection.request("POST", f"/v1/models/numbers:{verb}", body)
        answer = connection.getresponse()
        content = answer.read()
        seen[answer.status] += 1
        assert answer.status in (200, 400, 501), (body, answer.status, content)
        # Strings of the model are bytes, and come back as they are.
        assert isinstance(json.loads(content.decode(errors="replace")), dict), (body, content)

    try:
        send()
    finally:
        connection.close()
    return seen


def messages() -> Any:
    tensors = st.builds(
        lambda dtype, sizes, floats, ints, words, content: (
            dtype, sizes, floats, ints, words, content
        ),
        st.integers(0, 30), st.lists(st.integers(-2, 10**6), max_size=3),
        st.lists(st.floats(width=32), max_size=4), st.lists(st.integers(-9, 9), max_size=4),
        st.lists(st.binary(max_size=6), max_size=3), st.binary(max_size=17),
    )  # fmt: skip

    @st.composite
    def built(draw: Any) -> bytes:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = draw(st.sampled_from(["numbers"] * 9 + ["other", ""]))
        request.model_spec.signature_name = draw(
            st.sampled_from(["", "two", "echo", "half", "logarithm", "none"])
        )
        for name in draw(st.lists(st.sampled_from(["x", "a", "b", "text"]), max_size=3)):
            dtype, sizes, floats, ints, words, content = draw(tensors)
            tensor = request.inputs[name]
            tensor.dtype = dtype
            del tensor.tensor_shape.dim[:]
            for size in sizes:
                tensor.tensor_shape.dim.add(size=size)
            tensor.float_val.extend(floats)
            tensor.int_val.extend(ints)
            tensor.string_val.extend(words)
            tensor.tensor_content = content
        request.output_filter.extend(draw(st.lists(st.sampled_from(["y", "a", "z"]), max_size=2)))
        return bytes(request.SerializeToString())

    good = predict_pb2.PredictRequest()
    good.model_spec.name = "numbers"
    good.inputs["x"].dtype = 1
    good.inputs["x"].tensor_shape.dim.add(size=2)
    good.inputs["x"].float_val.extend([1.0, 2.0])
    originals = [good.SerializeToString()]
    return st.one_of(st.binary(max_size=200), built(), built(), mutated(originals))


def send_messages(server: Any, count: int) -> Counter[grpc.StatusCode]:
    seen: Counter[grpc.StatusCode] = Counter()
    faults: list[tuple[str, bytes, str]] = []
    with server.channel as channel:
        calls = {
            kind: channel.unary_unary(f"/tensorflow.serving.{path}")
            for kind, path in {
                "predict": "PredictionService/Predict",
                "classify": "PredictionService/Classify",
                "status": "ModelService/GetModelStatus",
            }.items()
        }
        parsed_by = {
            "predict": predict_pb2.PredictRequest,
            "classify": classification_pb2.ClassificationRequest,
            "status": get_model_status_pb2.GetModelStatusRequest,
        }

        @so_many(count)
        @given(message=messages(), kind=st.sampled_from(["predict"] * 8 + ["classify", "status"]))
        def send(message: bytes, kind: str) -> None:
            try:
                calls[kind](message, timeout=60)
                code = grpc.StatusCode.OK
            except grpc.RpcError as error:
                code = error.code()
                if code in OWN_FAULT:
                    # gRPC itself says so of bytes that are no message.
                    faults.append((kind, message, str(error.details())))
            seen[code] += 1

        send()
    for kind, message, details in faults:
        assert "deserializing" in details, (kind, message, details)
        with pytest.raises(DecodeError):
            parsed_by[kind].FromString(message)
    return seen


def test_bytes_that_are_no_message_leave_nothing_behind(fuzzed: Any) -> None:
    with fuzzed.channel as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for number in range(2200):
            with pytest.raises(grpc.RpcError, match="deserializing"):
                predict(b"\xff", timeout=60)
            if number == 200:
                before = memory_mb(fuzzed)
    # gRPC's own parsing left 15 KB a message.
    assert memory_mb(fuzzed) < before + 10


@pytest.mark.slow
def test_a_tenth_of_the_bodies(fuzzed: Any) -> None:
    within_memory(fuzzed, send_bodies, REST_BODIES // 10, BODIES)


@pytest.mark.slow
def test_a_tenth_of_the_messages(fuzzed: Any) -> None:
    within_memory(fuzzed, send_messages, GRPC_MESSAGES // 10, MESSAGES)


@pytest.mark.soak
def test_all_the_bodies(fuzzed: Any) -> None:
    within_memory(fuzzed, send_bodies, REST_BODIES, BODIES)


@pytest.mark.soak
def test_all_the_messages(fuzzed: Any) -> None:
    within_memory(fuzzed, send_messages, GRPC_MESSAGES, MESSAGES)
