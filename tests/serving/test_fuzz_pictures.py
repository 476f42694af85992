"""Damaged pictures to models as tl exports them: each is answered or refused, and nobody else is.

The quick tests send a tenth of what `make soak` sends. After each, a good picture gets the answer
that it got before.
"""

import base64
import http.client
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.inference import CLASSIFY, REGRESS

from .fuzzing import OWN_FAULT, so_many, within_memory
from .picture_files import damaged, encoded, good_pictures, moving_webp, photo

REST_REQUESTS, GRPC_REQUESTS = 20_000, 20_000
REST_SHARES = {200: 1 / 50, 400: 1 / 4, 413: 1 / 500}
GRPC_SHARES = {
    grpc.StatusCode.OK: 1 / 50,
    grpc.StatusCode.INVALID_ARGUMENT: 1 / 4,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 1 / 500,
}

GOOD = good_pictures()
ORIGINALS = [*GOOD, moving_webp(opaque=True)]
SOUND = encoded(photo(), "PNG")
SIGNATURES = ["serving_default"] * 6 + ["decode", "embed", "predict_image", "predict_tensor",
              "classify", "none", ""]  # fmt: skip
bad = st.one_of(damaged(ORIGINALS), damaged(ORIGINALS), st.binary(max_size=40))
good = st.sampled_from(GOOD)
mixed = st.one_of(
    st.lists(good, min_size=1, max_size=5), st.lists(st.one_of(good, bad), min_size=1, max_size=5)
)


@pytest.fixture(scope="module")
def fuzzed(start_server: Callable[..., Any], exported_models: Path) -> Iterator[Any]:
    # TensorFlow keeps the memory of the largest picture for each of its threads, here of 12 MB.
    server = start_server(
        str(exported_models), "--port=0", "--rest_api_port=0", "--max_picture_pixels=4000000"
    )
    server.wait_for_addresses()
    yield server
    assert "unforeseen" not in server.log.read_text()
    assert server.end() == 0


def in_base64(picture: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(picture).decode()}


def example_of(picture: bytes) -> Any:
    example = example_pb2.Example()
    example.features.feature["image_bytes"].bytes_list.value.append(picture)
    return example


@st.composite
def mistaken(draw: Any) -> Any:
    """Draw a picture in base64 with a mistake in it, or in what is around it."""
    text = base64.b64encode(draw(st.sampled_from(GOOD))).decode()
    place = draw(st.integers(0, len(text)))
    return draw(
        st.sampled_from(
            [
                {"b64": text.rstrip("=")[: draw(st.integers(0, 3)) - 4]},
                {"b64": text.replace("+", "-").replace("/", "_")},
                {"b64": text[:place] + draw(st.text(max_size=3)) + text[place:]},
                {"b64": text[:place] + "\r\n" + text[place:]},
                {"b64": text[:place] + "=" + text[place:]},
                {"b64": "data:image/png;base64," + text},
                {"b64": base64.b64encode(text.encode()).decode()},
                {"b64": [text]}, {"b64": None}, {"b64": ""}, {"B64": text}, {"b64": text, "x": 1},
                text, {"image_bytes": text}, {"image_bytes": {"b64": {"b64": text}}}, None, [],
            ]
        )
    )  # fmt: skip


@st.composite
def json_requests(draw: Any) -> bytes:
    """Draw a Predict in JSON with good and bad pictures, in rows or columns of some shape."""
    rows = [in_base64(one) for one in draw(mixed)]
    if draw(st.booleans()):
        rows.insert(draw(st.integers(0, len(rows))), draw(mistaken()))
    document: dict[str, Any] = {"signature_name": draw(st.sampled_from(SIGNATURES))}
    shaped = draw(
        st.sampled_from(
            [rows, rows, rows, rows[0], [rows], [[one] for one in rows], [rows, rows], [], [[]]]
        )
    )
    kind = draw(st.sampled_from(["instances", "instances", "named", "inputs", "column"]))
    if kind == "instances":
        document["instances"] = shaped
    elif kind == "named":
        document["instances"] = [{"image_bytes": one} for one in rows]
    else:
        document["inputs"] = shaped if kind == "inputs" else {"image_bytes": shaped}
    return json.dumps(document).encode()


@st.composite
def example_requests(draw: Any) -> bytes:
    """Draw a Classify or Regress in JSON."""
    examples: list[Any] = [{"image_bytes": in_base64(one)} for one in draw(mixed)]
    document: dict[str, Any] = {"examples": examples}
    if draw(st.integers(0, 3)):
        document["signature_name"] = draw(st.sampled_from(["classify", "regress", "decode"]))
    change = draw(st.sampled_from(["none", "none", "context", "twice", "empty", "mistake"]))
    if change == "context":
        document |= {"context": examples[0], "examples": [{}, *examples[1:]]}
    elif change == "twice":
        examples[0]["image_bytes"] = [examples[0]["image_bytes"], examples[-1]["image_bytes"]]
    elif change == "empty":
        examples.append({})
    elif change == "mistake":
        examples.append({"image_bytes": draw(mistaken())})
    return json.dumps(document).encode()


@st.composite
def forms(draw: Any) -> bytes:
    """Draw a form of pictures."""
    parts = [
        b'--end\r\nContent-Disposition: form-data; name="p"; filename="p.jpg"\r\n\r\n' + one
        for one in draw(mixed)
    ]
    return b"\r\n".join([*parts, b"--end--\r\n"])


def send_over_rest(server: Any, count: int) -> Counter[int]:
    connection = http.client.HTTPConnection(server.rest.removeprefix("http://"), timeout=60)
    seen: Counter[int] = Counter()
    answered_s = time.monotonic()
    requests = st.one_of(
        st.tuples(st.sampled_from(["animals:predict", "ages:predict"]), bad),
        st.tuples(st.just("animals:predict"), json_requests()),
        st.tuples(st.sampled_from(["animals:classify", "ages:regress"]), example_requests()),
        st.tuples(st.just("animals:predict"), forms()),
    )

    def ask(path: str, body: bytes) -> tuple[int, Any]:
        nonlocal answered_s
        if time.monotonic() > answered_s + 2:
            connection.close()  # the server does it after 5 s
        is_form = body.startswith(b"--end")
        headers = {"Content-Type": "multipart/form-data; boundary=end"} if is_form else {}
        connection.request("POST", f"/v1/models/{path}", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        answered_s = time.monotonic()
        return answer.status, json.loads(content.decode(errors="replace"))

    first = ask("animals:predict", SOUND)
    assert first[0] == 200

    @so_many(count)
    @given(request=requests)
    def send(request: tuple[str, bytes]) -> None:
        status, document = ask(*request)
        seen[status] += 1
        assert status in (200, 400, 413, 501), (request, status, document)
        assert isinstance(document, dict), (request, document)
        assert same_answer(ask("animals:predict", SOUND), first), request

    try:
        send()
    finally:
        connection.close()
    return seen


def same_answer(answer: tuple[int, Any], expected: tuple[int, Any]) -> bool:
    """Tell whether labels are the same, and scores but for rounding in another batch."""
    (row,), (wanted,) = answer[1].get("predictions", [None]), expected[1]["predictions"]
    return (
        answer[0] == 200
        and row["labels"] == wanted["labels"]
        and row["scores"] == pytest.approx(wanted["scores"], abs=1e-5)
    )


@st.composite
def predict_requests(draw: Any) -> Any:
    """Draw a Predict whose tensor of strings has some shape, which may not fit its values."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = draw(st.sampled_from(["animals", "ages"]))
    request.model_spec.signature_name = draw(st.sampled_from(SIGNATURES))
    pictures = draw(mixed)
    tensor = request.inputs[draw(st.sampled_from(["image_bytes"] * 12 + ["image", "inputs"]))]
    tensor.dtype = draw(st.sampled_from([7] * 16 + [1, 3, 4, 0]))
    count = len(pictures)
    sizes = draw(
        st.sampled_from(
            [[count]] * 12
            + [[], [count, 1], [1, count], [0], [count + 1], [2, 2], [-1], [1] * 9, [2**40]]
        )
    )
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    if draw(st.integers(0, 9)):
        serialise = request.model_spec.signature_name == "classify"
        tensor.string_val.extend(
            example_of(one).SerializeToString() if serialise else one for one in pictures
        )
    else:
        tensor.tensor_content = pictures[0]
    return request


@st.composite
def inference_requests(draw: Any) -> Any:
    """Draw a Classify, Regress or MultiInference with pictures in its examples."""
    kind = draw(st.sampled_from(["classify", "regress", "both"]))
    request: Any
    if kind == "both":
        request = inference_pb2.MultiInferenceRequest()
        for name in draw(st.lists(st.sampled_from(["classify", "regress"]), max_size=2)):
            task = request.tasks.add(method_name=CLASSIFY if name == "classify" else REGRESS)
            task.model_spec.name, task.model_spec.signature_name = "animals", name
    else:
        classes = kind == "classify"
        request = (
            classification_pb2.ClassificationRequest()
            if classes
            else regression_pb2.RegressionRequest()
        )
        request.model_spec.name = "animals" if classes else "ages"
        request.model_spec.signature_name = draw(st.sampled_from([kind, kind, "", "decode"]))
    examples = [example_of(one) for one in draw(mixed)]
    if draw(st.integers(0, 4)):
        request.input.example_list.examples.extend(examples)
    else:
        given = request.input.example_list_with_context
        given.context.CopyFrom(examples[0])
        given.examples.extend([example_pb2.Example(), *examples[1:]])
    return request


METHODS = {
    predict_pb2.PredictRequest: "Predict",
    classification_pb2.ClassificationRequest: "Classify",
    regression_pb2.RegressionRequest: "Regress",
    inference_pb2.MultiInferenceRequest: "MultiInference",
}


def send_over_grpc(server: Any, count: int) -> Counter[grpc.StatusCode]:
    seen: Counter[grpc.StatusCode] = Counter()
    sound = predict_pb2.PredictRequest()
    sound.model_spec.name = "animals"
    sound.inputs["image_bytes"].dtype = 7
    sound.inputs["image_bytes"].tensor_shape.dim.add(size=1)
    sound.inputs["image_bytes"].string_val.append(SOUND)
    with server.channel as channel:

        def ask(request: Any) -> bytes:
            path = f"/tensorflow.serving.PredictionService/{METHODS[type(request)]}"
            answer: bytes = channel.unary_unary(path)(request.SerializeToString(), timeout=60)
            return answer

        def labels() -> Any:
            outputs = predict_pb2.PredictResponse.FromString(ask(sound)).outputs
            return list(outputs["labels"].string_val), list(outputs["scores"].float_val)

        first = labels()

        @so_many(count)
        @given(request=st.one_of(predict_requests(), predict_requests(), inference_requests()))
        def send(request: Any) -> None:
            code, details = grpc.StatusCode.OK, ""
            try:
                ask(request)
            except grpc.RpcError as error:
                code, details = error.code(), str(error.details())
            assert code not in OWN_FAULT, (request, code, details)
            seen[code] += 1
            words, scores = labels()
            assert words == first[0], request
            assert scores == pytest.approx(first[1], abs=1e-5), request

        send()
    return seen


def test_good_pictures_of_every_kind_are_answered(fuzzed: Any) -> None:
    for picture in GOOD:
        for model in ("animals", "ages"):
            status, answer = fuzzed.call(f"/v1/models/{model}:predict", picture)
            assert status == 200, (picture[:20], answer)


@pytest.mark.slow
def test_a_tenth_of_the_pictures_over_rest(fuzzed: Any) -> None:
    within_memory(fuzzed, send_over_rest, REST_REQUESTS // 10, REST_SHARES)


@pytest.mark.slow
def test_a_tenth_of_the_pictures_over_grpc(fuzzed: Any) -> None:
    within_memory(fuzzed, send_over_grpc, GRPC_REQUESTS // 10, GRPC_SHARES)


@pytest.mark.soak
def test_all_the_pictures_over_rest(fuzzed: Any) -> None:
    within_memory(fuzzed, send_over_rest, REST_REQUESTS, REST_SHARES)


@pytest.mark.soak
def test_all_the_pictures_over_grpc(fuzzed: Any) -> None:
    within_memory(fuzzed, send_over_grpc, GRPC_REQUESTS, GRPC_SHARES)
