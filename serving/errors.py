"""Every error of the server and the client, each with its gRPC code and HTTP status.

    ServingError
    ├── RequestError          the request cannot be answered
    │   ├── InvalidArgument       INVALID_ARGUMENT     400
    │   ├── FailedPrecondition    FAILED_PRECONDITION  400
    │   ├── NotFound              NOT_FOUND            404
    │   ├── DeadlineExceeded      DEADLINE_EXCEEDED    504
    │   ├── Unimplemented         UNIMPLEMENTED        501
    │   ├── Overloaded            UNAVAILABLE          429
    │   ├── TooLarge              RESOURCE_EXHAUSTED   413
    │   └── ModelError            the code TensorFlow gave
    ├── LoadError             a version on disk cannot be loaded
    ├── StartError            the server cannot start; exit code 1
    │   └── UsageError            a flag is wrong; exit code 2
    └── ClientError           what a caller of `serving.Client` sees
        ├── Closed                CANCELLED            499
        ├── Unreachable           UNAVAILABLE          503
        ├── TimedOut              DEADLINE_EXCEEDED    504
        └── Refused               the code the server answered

REST and gRPC both read `code`, and the HTTP status follows from it, so the two cannot disagree
about one fault. Only too many and too large requests have a status of their own.
"""

from enum import IntEnum
from typing import ClassVar


class Code(IntEnum):
    """The canonical status codes that gRPC, TensorFlow and TF Serving share."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def http_status(self) -> int:
        """The HTTP status that TF Serving's REST interface gives for this code."""
        return _HTTP_STATUS[self]


_HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class ServingError(Exception):
    """Anything that goes wrong in `serving` and that we foresaw.

    Attributes:
        code: of gRPC.
        pictures: which of the pictures given to the client it is about, counted from 0; empty
            where it is about none.
        about: the same in words, in front of the message.
    """

    code: Code = Code.INTERNAL
    pictures: range = range(0)
    about: str = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.about}: {message}" if self.about else message

    @property
    def http_status(self) -> int:
        """The HTTP status of the answer."""
        return self.code.http_status

    @property
    def message(self) -> str:
        """What was wrong, the value seen, and what to do."""
        return str(self)


class RequestError(ServingError):
    """A request that cannot be answered."""


class InvalidArgument(RequestError):
    """The request is wrong whatever the state of the server."""

    code = Code.INVALID_ARGUMENT


class FailedPrecondition(RequestError):
    """The request does not fit the model that is loaded."""

    code = Code.FAILED_PRECONDITION


class NotFound(RequestError):
    """The model or the version is not served here."""

    code = Code.NOT_FOUND


class DeadlineExceeded(RequestError):
    """The time that the caller gave is over."""

    code = Code.DEADLINE_EXCEEDED


class Unimplemented(RequestError):
    """A part of the protocol, or a type of data, that this server does not speak."""

    code = Code.UNIMPLEMENTED


class Overloaded(RequestError):
    """There is too much to do; the same request may be answered a moment later."""

    code = Code.UNAVAILABLE

    @property
    def http_status(self) -> int:
        """Too Many Requests."""
        return 429


class TooLarge(RequestError):
    """A request of more bytes than the server takes."""

    code = Code.RESOURCE_EXHAUSTED

    @property
    def http_status(self) -> int:
        """Content Too Large."""
        return 413


class ModelError(RequestError):
    """TensorFlow refused the request while it ran the model."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[Code, str]]:
        return ModelError, (self.code, self.message)


class LoadError(ServingError):
    """A version on disk cannot be loaded or does not answer its own warm-up requests."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class StartError(ServingError):
    """The server cannot start: a port is taken, a path is missing."""

    exit_code: ClassVar[int] = 1


class UsageError(StartError):
    """The command line is wrong."""

    code = Code.INVALID_ARGUMENT
    exit_code = 2


class ClientError(ServingError):
    """A call of the client that brought no answer, or an error as the answer.

    Attributes:
        transient: the same call may be answered a moment later.
        retry_after_s: how long the server asked to wait until then; 0 where it did not.
    """

    def __init__(
        self, message: str, *, transient: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after_s = retry_after_s


class Closed(ClientError):
    """The client was closed."""

    code = Code.CANCELLED


class Unreachable(ClientError):
    """Nothing answers at the address."""

    code = Code.UNAVAILABLE


class TimedOut(ClientError):
    """The server did not answer in time."""

    code = Code.DEADLINE_EXCEEDED


class Refused(ClientError):
    """The server answered with an error."""

    def __init__(
        self, code: Code, message: str, *, transient: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message, transient=transient, retry_after_s=retry_after_s)
        self.code = code
