"""The address of a model: which transport, which server, which model."""

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from serving.errors import InvalidArgument

_DEFAULT_PORTS = {"http": 8501, "https": 8501, "grpc": 8500, "grpcs": 8500}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        scheme: `http`, `https`, `grpc` or `grpcs`.
        host: name or number; IPv6 without brackets.
        port: given, or that of TF Serving.
        model: None where the address names none.
    """

    scheme: str
    host: str
    port: int
    model: str | None

    @property
    def is_grpc(self) -> bool:
        """Tell gRPC from REST."""
        return self.scheme in ("grpc", "grpcs")

    @property
    def is_encrypted(self) -> bool:
        """Tell TLS from plain text."""
        return self.scheme in ("https", "grpcs")

    @property
    def netloc(self) -> str:
        """Host and port as one word; IPv6 addresses need brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def parse_address(url: str) -> Address:
    """Read an address, with a model behind it or without.

    Args:
        url: as `serving.Client` takes it.

    Raises:
        InvalidArgument: with what to write.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"{url} has no valid port or host: {error}") from error
    if not host or parts.scheme not in _DEFAULT_PORTS:
        raise InvalidArgument(
            f"{url!r} is no address of a server: write http://HOST:8501 or grpc://HOST:8500, "
            "or https:// or grpcs:// for TLS"
        )
    if parts.query or parts.fragment or parts.username is not None:
        raise InvalidArgument(
            f"{url!r} has more than host, port and model: leave out user, query and fragment"
        )
    return Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], _model_in(parts))


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
