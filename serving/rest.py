"""TF Serving's REST interface, and routes for readiness and metrics beside it.

Routes are matched by TF Serving's own patterns on the path as it was sent: what is a bad model
name and what a malformed request is part of the protocol.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from urllib.parse import unquote

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serving import metrics as prometheus
from serving.access_log import ID_HEADER, AccessLog, request_id
from serving.drain import Drain
from serving.errors import (
    Code,
    InvalidArgument,
    RequestError,
    ServingError,
)
from serving.inference import classify, regress
from serving.json_codec import (
    decode_inputs,
    encode_classes,
    encode_outputs,
    encode_values,
    signature_name,
)
from serving.json_requests import JsonRequests
from serving.metadata import metadata_json, status_json
from serving.metrics import Metrics
from serving.pictures import is_picture, picture_inputs
from serving.predict import Prediction, predict
from serving.registry import ModelRef, Registry
from serving.request_log import RequestLogs, record_of_examples, record_of_predict
from serving.rest_body import Bodies, Body
from serving.servable import DEFAULT_SIGNATURE, Array, Servable, input_types
from serving.workers import refuse_if_overloaded

_MODEL = r"/v1/models/(?P<model>[^/:]+)"
_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_MODEL + _VERSION + r":(?P<verb>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(_MODEL + _VERSION + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_LIST = re.compile(r"/v1/models/?", re.IGNORECASE)

_INFERENCES = {"classify": (classify, encode_classes), "regress": (regress, encode_values)}

VERSION_HEADER = "X-Model-Version"
_CLIENT_CLOSED = Code.CANCELLED.http_status

_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}

# TF Serving answers 400 to those it has no use for, and not 405; all others are 501.
_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A status, a body, and which version of a model made it."""

    status: int
    content: bytes
    version: int | None = None


class RestApi:
    """Answers HTTP requests from the registry.

    The event loop only reads and writes; parsing, running and formatting block, and happen on
    the executor's threads.
    """

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        drain: Drain,
        logs: RequestLogs,
        access_log: AccessLog | None,
        executor: Executor,
        json: JsonRequests,
        *,
        timeout_ms: int,
        most_bytes: int,
        read_s: float,
        allow_cors: bool,
        metrics_path: str | None,
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._drain = drain
        self._logs = logs
        self._access_log = access_log
        self._metrics_path = metrics_path
        self._executor = executor
        self._json = json
        self._timeout_ms = timeout_ms
        self._bodies = Bodies(most_bytes, read_s)
        self._headers = _CORS_HEADERS if allow_cors else {}

    def build(self) -> Starlette:
        """Build the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                *([Route(path, self._metrics_page)] if (path := self._metrics_path) else []),
                Route("/{path:path}", self._v1, methods=_ALL_METHODS),
            ],
            exception_handlers={HTTPStatus.METHOD_NOT_ALLOWED: _not_implemented},
        )

    async def _healthz(self, request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    async def _readyz(self, request: Request) -> Response:
        del request
        if self._drain.is_draining:
            return PlainTextResponse("shutting down\n", HTTPStatus.SERVICE_UNAVAILABLE)
        versions = "".join(
            f"{one.model} {one.version} {one.state.name}\n" for one in self._registry.overview()
        )
        if not self._registry.is_ready():
            return PlainTextResponse(
                f"waiting for a model or a version of it\n{versions}",
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
        return PlainTextResponse(f"ready\n{versions}")

    async def _metrics_page(self, request: Request) -> Response:
        del request
        return Response(self._metrics.page(), media_type=prometheus.CONTENT_TYPE)

    async def _v1(self, request: Request) -> Response:
        if self._access_log is None:
            return await self._respond(request)
        started_s = time.monotonic()
        identity = request_id(request.headers.get(ID_HEADER, ""))
        response = await self._respond(request)
        response.headers[ID_HEADER] = identity
        path = request.scope["raw_path"].decode("latin-1")
        match = _POST.fullmatch(path) or _GET.fullmatch(path)
        version = response.headers.get(VERSION_HEADER)
        announced = request.headers.get("content-length", "")
        self._access_log.write(
            id=identity,
            client=":".join(map(str, request.client or ())),
            protocol="REST",
            method=f"{request.method} {path}",
            model=unquote(match["model"]) if match else "",
            version=None if version is None else int(version),
            status=response.status_code,
            ms=round(1000 * (time.monotonic() - started_s), 3),
            bytes_in=int(announced) if announced.isdigit() else None,
            bytes_out=len(response.body),
        )
        return response

    async def _respond(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        if not path.lower().startswith("/v1/"):
            return PlainTextResponse("Not Found\n", HTTPStatus.NOT_FOUND)
        if request.method == "OPTIONS":
            has_origin = re.match(r"https?://", request.headers.get("origin", ""))
            status = HTTPStatus.OK if has_origin else HTTPStatus.BAD_REQUEST
            return Response(status_code=status, headers=self._headers)
        with self._drain.request():
            try:
                body = await self._bodies.read(request)
            except ClientDisconnect:
                return Response(status_code=_CLIENT_CLOSED)  # which nobody reads but the log
            except HTTPException as error:
                answered = _Answered(HTTPStatus.BAD_REQUEST, _error_body(f"form: {error.detail}"))
            except ServingError as error:
                # What is still coming is not read: the connection ends.
                return Response(
                    _error_body(error.message),
                    error.http_status,
                    headers={**self._headers, "Connection": "close"},
                    media_type="application/json",
                )
            else:
                answer = partial(self._answer, request.method, path, body, request.headers)
                loop = asyncio.get_running_loop()
                answered = await loop.run_in_executor(self._executor, answer)
        headers = {**self._headers}
        if self._drain.is_draining:
            headers["Connection"] = "close"  # the next request is for another server
        if answered.version is not None:
            headers[VERSION_HEADER] = str(answered.version)
        return Response(
            answered.content,
            answered.status,
            headers=headers,
            media_type="application/json",
        )

    def _answer(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> _Answered:
        try:
            # The verb is compared exactly, though the rest of the path ignores case.
            if method == "POST" and (match := _POST.fullmatch(path)) and match["verb"].islower():
                return self._post(match, self._bodies.unpack(body, headers))
            if method == "GET" and (match := _GET.fullmatch(path)):
                return _Answered(HTTPStatus.OK, self._get(match))
            if method == "GET" and _LIST.fullmatch(path):
                return _Answered(HTTPStatus.OK, self._list_models())
            raise InvalidArgument(f"Malformed request: {method} {path}")
        except ServingError as error:
            return _Answered(error.http_status, _error_body(error.message))
        except Exception as error:
            logger.exception("unforeseen error in %s %s", method, path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return _Answered(status, _error_body(f"internal error: {error!r}"))

    def _post(self, match: re.Match[str], body: Body) -> _Answered:
        ref, verb = _model_ref(match), match["verb"]
        if verb != "predict":
            if isinstance(body, list):
                raise InvalidArgument(f"a form of pictures can be used with :predict, not :{verb}")
            return self._measured(ref.name, verb, lambda: self._infer(ref, verb, body))
        if isinstance(body, list) or is_picture(body):
            pictures = body if isinstance(body, list) else [body]
            return self._measured(ref.name, verb, lambda: self._predict_pictures(ref, pictures))
        return self._measured(ref.name, verb, lambda: self._predict(ref, body))

    def _infer(self, ref: ModelRef, verb: str, body: bytes) -> _Answered:
        name, examples = self._json.read_examples(body)
        answer, encode = _INFERENCES[verb]
        with self._registry.acquire(ref) as servable:
            prediction = answer(servable, name, examples, self._timeout_ms)
        self._metrics.count_run(verb, "REST", prediction)
        if self._logs.draws(ref.name):
            record = record_of_examples(f"{verb}_log", prediction, examples)
            self._logs.write(ref.name, record)
        content = self._json.write(encode, prediction.outputs)
        return _Answered(HTTPStatus.OK, content, prediction.version)

    def _predict_pictures(self, ref: ModelRef, pictures: list[bytes]) -> _Answered:
        with self._registry.acquire(ref) as servable:
            inputs = picture_inputs(pictures, _input_types(servable, DEFAULT_SIGNATURE))
            prediction = predict(servable, DEFAULT_SIGNATURE, inputs, timeout_ms=self._timeout_ms)
        self._metrics.count_run("predict", "REST", prediction)
        self._log(prediction, inputs)
        content = self._json.write(encode_outputs, prediction.outputs, "row")
        return _Answered(HTTPStatus.OK, content, prediction.version)

    def _predict(self, ref: ModelRef, body: bytes) -> _Answered:
        # Parsed before the model is looked up, as in TF Serving: bad JSON for a model that is
        # not there is 400, not 404. Only of a large document the types have to be known before.
        document = self._json.parse_small(body)
        with self._registry.acquire(ref) as servable:
            if document is None:
                name, inputs, answer_format = self._json.read_large_inputs(
                    body, DEFAULT_SIGNATURE, _all_input_types(servable)
                )
                _input_types(servable, name)
            else:
                name = signature_name(document) or DEFAULT_SIGNATURE
                inputs, answer_format = decode_inputs(document, _input_types(servable, name))
            prediction = predict(servable, name, inputs, timeout_ms=self._timeout_ms)
        self._metrics.count_run("predict", "REST", prediction)
        self._log(prediction, inputs)
        content = self._json.write(encode_outputs, prediction.outputs, answer_format)
        return _Answered(HTTPStatus.OK, content, prediction.version)

    def _log(self, prediction: Prediction, inputs: Mapping[str, Array]) -> None:
        if self._logs.draws(prediction.model_name):
            self._logs.write(prediction.model_name, record_of_predict(prediction, inputs))

    def _measured(self, model_name: str, api: str, answer: Callable[[], _Answered]) -> _Answered:
        started_s = time.monotonic()
        code = Code.INTERNAL
        try:
            refuse_if_overloaded()
            answered = answer()
            code = Code.OK
        except RequestError as error:
            code = error.code
            raise
        finally:
            if model_name in self._registry.names:
                duration_s = time.monotonic() - started_s
                self._metrics.count(model_name, api, "REST", code, duration_s)
        return answered

    def _get(self, match: re.Match[str]) -> bytes:
        ref = _model_ref(match)
        if match["metadata"] == "/metadata":
            return orjson.dumps(metadata_json(self._registry, ref))
        return orjson.dumps(status_json(self._registry, ref))

    def _list_models(self) -> bytes:
        models = []
        for name in self._registry.names:
            # A model that has no version yet has no status in the protocol.
            versions = (
                status_json(self._registry, ModelRef(name=name))
                if self._registry.has_versions(name)
                else {"model_version_status": []}
            )
            models.append({"name": name, **versions})
        return orjson.dumps({"models": models})


async def _not_implemented(request: Request, error: Exception) -> Response:
    del request, error
    return PlainTextResponse("Not Implemented\n", HTTPStatus.NOT_IMPLEMENTED)


def _input_types(servable: Servable, name: str) -> dict[str, str]:
    signature = servable.signatures.get(name)
    if signature is None:
        raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
    types = input_types(signature)
    if not types:
        raise InvalidArgument(f"Failed to get input map for signature: {name}")
    return types


def _all_input_types(servable: Servable) -> dict[str, dict[str, str]]:
    """Return the types of the signatures whose inputs can be given."""
    types = {}
    for name in servable.signatures:
        with contextlib.suppress(RequestError):
            types[name] = _input_types(servable, name)
    return types


def _model_ref(match: re.Match[str]) -> ModelRef:
    version = match["version"]
    if version is not None and int(version) >= 2**63:
        raise InvalidArgument(f"Failed to convert version: {version} to numeric.")
    return ModelRef(
        name=unquote(match["model"]),
        version=None if version is None else int(version),
        label=unquote(match["label"] or ""),
    )


def _error_body(message: str) -> bytes:
    # Messages quote requests, whose bytes need not be UTF-8.
    readable = message.encode(errors="replace").decode()
    return orjson.dumps({"error": readable})
