"""The REST interface of the real server."""

import base64
import gzip
import http.client
import math
import urllib.error
import urllib.request
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("server")

PREDICT = "/v1/models/numbers:predict"


def b64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def test_rows(server: Any) -> None:
    assert server.call(PREDICT, {"instances": [1, 2, 5]}) == (200, {"predictions": [2.5, 3.0, 4.5]})


def test_columns(server: Any) -> None:
    assert server.call(PREDICT, {"inputs": {"x": [1, 2]}}) == (200, {"outputs": [2.5, 3.0]})


def test_pictures_are_sent_as_base64(server: Any) -> None:
    status, answer = server.call("/v1/models/flowers:predict", {"instances": [b64(b"\xff\xd8")]})

    assert status == 200
    assert answer["predictions"][0]["labels"] == ["lynx", "puma"]
    assert sum(answer["predictions"][0]["scores"]) == pytest.approx(1)


def test_several_inputs_and_outputs_of_a_named_signature(server: Any) -> None:
    body = {"signature_name": "two", "inputs": {"a": [0.5, 0.2], "b": [1, 2]}}

    assert server.call(PREDICT, body) == (
        200,
        {"outputs": {
            "a": [0.5, 0.2],
            "raw_bytes": [b64(b"1"), b64(b"2")],
            "total": pytest.approx(0.7),
            "wide": [2, 3],
        }},
    )  # fmt: skip


def test_output_without_a_batch_axis_has_no_rows(server: Any) -> None:
    body = {"signature_name": "two", "instances": [{"a": 1, "b": 1}]}

    assert server.call(PREDICT, body) == (
        400,
        {"error": "Tensor name: total has no shape information "},
    )


def test_what_json_has_no_number_for_goes_both_ways(server: Any) -> None:
    body = b'{"signature_name": "logarithm", "instances": [0, 1, -1, Infinity, NaN]}'

    status, answer = server.call(PREDICT, body)

    assert status == 200
    assert answer["predictions"][:2] == [-math.inf, 0]
    assert [math.isnan(value) for value in answer["predictions"]] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_version_in_the_path(server: Any) -> None:
    path = "/v1/models/numbers/versions/{}:predict"

    assert server.call(path.format(1), {"instances": [2]})[0] == 200
    assert server.call(path.format(9), {"instances": [2]}) == (
        404,
        {"error": "Servable not found for request: Specific(numbers, 9)"},
    )


def test_gzip_body_is_unpacked(server: Any) -> None:
    packed = gzip.compress(b'{"instances": [2]}')

    assert server.call(PREDICT, packed, **{"Content-Encoding": "gzip"}) == (
        200,
        {"predictions": [3.0]},
    )
    assert server.call(PREDICT, b"no gzip", **{"Content-Encoding": "gzip"})[0] == 400


def test_body_larger_than_any_default_limit(server: Any) -> None:
    text = "x" * 20_000_000

    status, answer = server.call(PREDICT, {"signature_name": "echo", "instances": [text]})

    assert (status, len(answer["predictions"][0])) == (200, len(text))


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/none:predict", {"instances": [1]}, 404,
         "Servable not found for request: Latest(none)"),
        ("/v1/models/none:predict", b"{", 400,
         "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("/v1/models/numbers/labels/stable:predict", {"instances": [1]}, 400,
         "Unrecognized servable version label: stable"),
        (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
        (PREDICT, [1], 400, "JSON Value: [1] Is not object"),
        (PREDICT, {"instances": ["a"]}, 400,
         "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
         'JSON Value: "a" Type: String is not of expected type: float'),
        (PREDICT, {"signature_name": "s", "instances": [1]}, 400,
         'Serving signature name: "s" not found in signature def'),
        (PREDICT, {"signature_name": "half", "inputs": [1]}, 501,
         "Conversion of JSON Value: 1 to type: half"),
        ("/v1/models/numbers:PREDICT", {}, 400,
         "Malformed request: POST /v1/models/numbers:PREDICT"),
        ("/v1/models/numbers/versions/1.0:predict", {}, 400,
         "Malformed request: POST /v1/models/numbers/versions/1.0:predict"),
        ("/v1/models/numbers/versions/9223372036854775808:predict", {}, 400,
         "Failed to convert version: 9223372036854775808 to numeric."),
        ("/v1/models/none", None, 404, "Could not find any versions of model none"),
        ("/v1/models/numbers/versions/9", None, 404, "Could not find version 9 of model numbers"),
        ("/v1/models/none/metadata", None, 404, "Servable not found for request: Latest(none)"),
        ("/v1/elsewhere", None, 400, "Malformed request: GET /v1/elsewhere"),
    ],
)  # fmt: skip
def test_errors_have_the_status_and_words_of_tensorflow_serving(
    server: Any, path: str, body: Any, status: int, message: str
) -> None:
    assert server.call(path, body) == (status, {"error": message})


def test_shape_that_the_graph_refuses_is_named_with_its_node(server: Any) -> None:
    body = {"signature_name": "two", "inputs": {"a": [1], "b": [[1], [2]]}}
    status, _ = server.call(PREDICT, body)
    assert status == 200  # no op of this graph minds

    status, answer = server.call(PREDICT, {"signature_name": "ones", "inputs": [-1]})

    assert status == 400
    assert "node" in answer["error"]


def test_status_has_versions_as_strings(server: Any) -> None:
    expected = {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }

    assert server.call("/v1/models/numbers") == (200, expected)
    assert server.call("/v1/models/numbers/versions/1") == (200, expected)
    assert server.call("/v1/models/numbers/labels/any") == (200, expected)


def test_metadata_prints_all_defaults(server: Any) -> None:
    status, answer = server.call("/v1/models/numbers/metadata")

    assert status == 200
    assert answer["model_spec"] == {"name": "numbers", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"] == {}
    assert signature["inputs"]["x"] == {
        "name": "serving_default_x:0",
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
    }


def test_models_are_listed(server: Any) -> None:
    status, answer = server.call("/v1/models")

    assert status == 200
    assert {"flowers", "numbers"} <= {model["name"] for model in answer["models"]}


def test_health_and_readiness(server: Any) -> None:
    assert server.call("/healthz") == (200, "ok\n")
    status, text = server.call("/readyz")
    assert (status, text.splitlines()[0]) == (200, "ready")
    assert "numbers 1 AVAILABLE" in text.splitlines()


def test_outside_of_v1_there_is_nothing(server: Any) -> None:
    assert server.call("/elsewhere")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        # Of libevent, which TensorFlow Serving answers with.
        ("PROPFIND", PREDICT, 501),
        ("TRACE", "/v1/models", 501),
        ("MKCOL", "/elsewhere", 501),
        ("PUT", PREDICT, 400),
        ("PATCH", "/v1/models/numbers", 400),
        ("DELETE", "/elsewhere", 404),
        ("POST", "/healthz", 404),
        ("PROPFIND", "/healthz", 501),
    ],
)
def test_method_of_no_use_is_refused(server: Any, method: str, path: str, status: int) -> None:
    connection = http.client.HTTPConnection(server.rest.removeprefix("http://"), timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    response.read()
    assert response.status == status
    connection.close()


@pytest.mark.parametrize(("origin", "status"), [({"Origin": "http://page"}, 200), ({}, 400)])
def test_preflight_needs_an_origin(server: Any, origin: dict[str, str], status: int) -> None:
    connection = http.client.HTTPConnection(server.rest.removeprefix("http://"), timeout=60)
    connection.request("OPTIONS", PREDICT, headers=origin)

    response = connection.getresponse()

    assert (response.status, response.read()) == (status, b"")
    assert response.headers["Access-Control-Allow-Origin"] is None
    connection.close()


def test_metrics_have_the_names_of_tensorflow_serving(server: Any) -> None:
    server.call(PREDICT, {"instances": [1]})
    server.call("/v1/models/made-up:predict", {"instances": [1]})

    status, page = server.call("/monitoring/prometheus/metrics")

    assert status == 200
    assert ':tensorflow:serving:request_count{model_name="numbers",status="OK"}' in page
    assert (
        ":tensorflow:serving:request_latency_count"
        '{API="predict",entrypoint="REST",model_name="numbers"}'
    ) in page
    assert "made-up" not in page


def form(*pictures: bytes, field: str = "") -> tuple[bytes, str]:
    """Return a form as browsers and curl write it, and its content type."""
    parts = [
        b'Content-Disposition: form-data; name="p"; filename="%d.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%b" % (number, picture)
        for number, picture in enumerate(pictures)
    ]
    if field:
        parts.append(b'Content-Disposition: form-data; name="note"\r\n\r\n' + field.encode())
    body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"
    return body, "multipart/form-data; boundary=frontier"


JPEG = b"\xff\xd8\xff picture"
PICTURES = "/v1/models/flowers:predict"


def test_picture_is_answered_as_it_is(server: Any) -> None:
    as_json = server.call(PICTURES, {"instances": [b64(JPEG)]})

    assert as_json[0] == 200
    # What curl sends with --data-binary, and what it should send.
    for kind in ("application/x-www-form-urlencoded", "image/jpeg"):
        assert server.call(PICTURES, JPEG, **{"Content-Type": kind}) == as_json
    for other in (b"\x89PNG\r\n\x1a\nx", b"GIF89a", b"BM12", b"RIFF1234WEBPVP8 ", b"\xff\x0ax"):
        assert server.call(PICTURES, other)[0] == 200


def test_pictures_of_a_form_are_rows_in_its_order(server: Any) -> None:
    pictures = [JPEG, JPEG + b" that is longer", b"anything"]
    body, kind = form(*pictures, field="a note")

    answer = server.call(PICTURES, body, **{"Content-Type": kind})

    assert answer == server.call(PICTURES, {"instances": [b64(one) for one in pictures]})


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (PICTURES, form(field="a note"), "the form has no files"),
        (
            "/v1/models/numbers:predict",
            form(JPEG),
            "one input of strings; this one takes x (float)",
        ),
        (
            "/v1/models/numbers:predict",
            (JPEG, ""),
            "one input of strings; this one takes x (float)",
        ),
        ("/v1/models/flowers:classify", form(JPEG), "can be used with :predict, not :classify"),
        ("/v1/models/flowers:classify", (JPEG, ""), "JSON Parse error"),
        (PICTURES, (b"nothing", "multipart/form-data"), "form: Missing boundary in multipart"),
    ],
)
def test_pictures_that_cannot_be_answered_are_refused(
    path: str, body: tuple[bytes, str], message: str, server: Any
) -> None:
    status, answer = server.call(path, body[0], **{"Content-Type": body[1]})

    assert status == 400
    assert message in answer["error"]


def test_answer_names_its_version_in_a_header(server: Any) -> None:
    for body, version in ((b'{"instances": [1.0]}', "1"), (b'{"instances": ["a"]}', None)):
        request = urllib.request.Request(server.rest + "/v1/models/numbers:predict", body)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                headers = response.headers
        except urllib.error.HTTPError as error:
            with error:
                headers = error.headers
        assert headers["X-Model-Version"] == version
