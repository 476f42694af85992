from serving.errors import Code

# TensorFlow Serving's table, model_servers/http_server.cc.
HTTP_STATUS = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def test_every_code_has_the_http_status_of_tensorflow_serving() -> None:
    assert {code.name: code.http_status for code in Code} == HTTP_STATUS


def test_codes_have_the_numbers_of_grpc() -> None:
    import grpc

    assert {code.name: code.value for code in Code} == {
        status.name: status.value[0] for status in grpc.StatusCode
    }
