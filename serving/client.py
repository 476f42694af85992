"""Ask a server for predictions: this one, or the real TensorFlow Serving.

    client = Client("http://localhost:8501/v1/models/flowers")
    client.predict_bytes([Path("rose.jpg").read_bytes()])["labels"]

One object for both transports. REST needs nothing but the standard library; gRPC loads
TensorFlow's messages, which takes some seconds, when the client is made.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self
from urllib.parse import SplitResult, unquote, urlsplit

from serving.errors import InvalidArgument
from serving.json_tensor import Array


class Transport(Protocol):
    """What the two transports have in common."""

    def predict(
        self, model: str, signature_name: str, input_name: str, values: Sequence[bytes]
    ) -> dict[str, Array]:
        """Run one signature on a batch of byte strings."""

    def status(self, model: str) -> dict[int, str]:
        """Give version -> state."""

    def metadata(self, model: str) -> dict[str, Any]:
        """Give the metadata in the JSON form of the REST interface."""

    def list_models(self) -> list[str] | None:
        """Name the models; None where the server does not tell."""

    def close(self) -> None:
        """Close the connections."""


class Client:
    """A model on a server.

    Attributes:
        model: the name of the model, given or found.
    """

    def __init__(self, url: str, model: str | None = None, *, timeout_s: float = 30.0) -> None:
        """Look at the address, and ask the server for the model's name where none is given.

        Args:
            url: `http://HOST:PORT` or `grpc://HOST:PORT`; `/MODEL` or `/v1/models/MODEL` may
                follow, also with `:predict` at its end.
            model: the name of the model; not needed where the URL has it, or where the server
                speaks REST, lists its models (tensorflow_model_server does not) and has one.
            timeout_s: for each call; over REST, for each wait on the server within it.

        Raises:
            InvalidArgument: the URL is no such URL, or the model is not clear.
            ClientError: the server had to be asked for its models, and did not answer.
        """
        parts = urlsplit(url)
        in_url = _model_in(parts)
        if model is not None and in_url is not None and model != in_url:
            raise InvalidArgument(
                f"two models, {model!r} as an argument and {in_url!r} in {url}: give one"
            )
        self._transport = _connect(url, parts, timeout_s)
        try:
            self.model = model or in_url or _only_model(self._transport, url)
        except BaseException:
            self._transport.close()
            raise

    def predict_bytes(
        self,
        values: Sequence[bytes],
        signature_name: str = "serving_default",
        input_name: str = "image_bytes",
    ) -> dict[str, Array]:
        """Run a signature on encoded pictures, or on whatever its byte strings are.

        Args:
            values: one byte string an example.
            signature_name: of the model.
            input_name: the one input of the signature.

        Returns:
            Output name -> array with the batch in front; strings as an array of `str`. For a
            classifier: `labels` (batch, k) and `scores` float32 (batch, k). Over REST the types
            are those of the JSON: numbers with a fraction are float32, others int64.

        Raises:
            InvalidArgument: no values.
            ClientError: no answer, or an error as the answer.
        """
        if not values:
            raise InvalidArgument("no values to predict: give at least one byte string")
        return self._transport.predict(self.model, signature_name, input_name, values)

    def status(self) -> dict[int, str]:
        """Give the state of each version, such as `{2: "AVAILABLE", 1: "END"}`, newest first.

        Raises:
            ClientError: no answer, or an error as the answer.
        """
        return self._transport.status(self.model)

    def metadata(self) -> dict[str, Any]:
        """Give the signatures of the newest version, in the JSON form of the REST interface.

        Raises:
            ClientError: no answer, or an error as the answer.
        """
        return self._transport.metadata(self.model)

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _connect(url: str, parts: SplitResult, timeout_s: float) -> Transport:
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"{url} has no valid port: {error}") from error
    if not host or parts.scheme not in ("http", "grpc"):
        raise InvalidArgument(
            f"{url!r} is no address of a server: write http://HOST:8501 or grpc://HOST:8500"
        )
    if parts.scheme == "http":
        from serving.client_rest import RestTransport

        return RestTransport(host, port or 8501, timeout_s)
    from serving.client_grpc import GrpcTransport

    return GrpcTransport(host, port or 8500, timeout_s)


def _model_in(parts: SplitResult) -> str | None:
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    if segments[:2] == ["v1", "models"]:
        segments = segments[2:]
        if segments:  # the whole address of a prediction, as it stands in documents
            segments[-1] = segments[-1].removesuffix(":predict")
    if len(segments) > 1:
        raise InvalidArgument(
            f"{parts.path!r} is no model: end the address with /MODEL or /v1/models/MODEL; the "
            "newest version answers"
        )
    return segments[0] if segments else None


def _only_model(transport: Transport, url: str) -> str:
    names = transport.list_models()
    if names is not None and len(names) == 1:
        return names[0]
    found = "" if names is None else f"; it has {', '.join(names) if names else 'none yet'}"
    raise InvalidArgument(f"which model of {url}? Add /MODEL to the address{found}")
