"""The body of a request over REST: read, unpacked, and taken apart where it is a form."""

import asyncio
import zlib
from collections.abc import Mapping
from io import BytesIO

from starlette.datastructures import UploadFile
from starlette.requests import Request

from serving.errors import DeadlineExceeded, InvalidArgument, TooLarge

_MAX_FILES = 1000
_MAX_FIELD_BYTES = 2**20  # of fields that are no files, which mean nothing here
_MOST_GZIP_MEMBERS = 100

Body = bytes | list[bytes]


class Bodies:
    """Reads bodies, within a server's limits of size and time."""

    def __init__(self, most_bytes: int, read_s: float) -> None:
        """Take the limits.

        Args:
            most_bytes: of a body, as it is sent and unpacked.
            read_s: seconds for a body to come in.
        """
        self._most_bytes, self._read_s = most_bytes, read_s

    async def read(self, request: Request) -> Body:
        """Read a body, and stop as soon as it is too large or too slow.

        Returns:
            The body, or the files of a form.

        Raises:
            TooLarge: it has more bytes than the server takes.
            DeadlineExceeded: it has not come in in time.
            HTTPException: it is a form, and a wrong one.
            ClientDisconnect: the client has gone.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._most_bytes:
            raise self._too_large("a body", int(announced))
        # Grown and not joined: a join of 100 MB is one step of 100 ms, in which nobody is answered,
        # and takes their memory twice.
        read = BytesIO()
        try:
            async with asyncio.timeout(self._read_s):
                async for part in request.stream():
                    read.write(part)
                    if read.tell() > self._most_bytes:
                        raise self._too_large("a body", read.tell())
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"the body did not come in within {self._read_s:g} s: {read.tell():,} bytes did"
            ) from error
        body = read.getvalue()  # no copy
        if not _is_form(request):
            return body
        request._body = body  # where the reader of forms finds it
        return await _files_of(request)

    def unpack(self, body: Body, headers: Mapping[str, str]) -> Body:
        """Unpack a body that is packed with gzip; it takes time, so not on an event loop.

        Raises:
            TooLarge: it unpacks to more bytes than the server takes.
            InvalidArgument: it is damaged.
        """
        if isinstance(body, list) or headers.get("content-encoding", "").lower() != "gzip":
            return body
        unpacked: list[bytes] = []
        left, rest = self._most_bytes, body
        try:
            for _ in range(_MOST_GZIP_MEMBERS):  # each copies what is behind it
                if not rest:
                    return b"".join(unpacked)  # no copy of one member
                member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
                unpacked.append(member.decompress(rest, left + 1))
                left -= len(unpacked[-1])
                if left < 0:
                    raise self._too_large("a body that is unpacked", self._most_bytes - left)
                if not member.eof:
                    raise EOFError("the end is missing")
                rest = member.unused_data.lstrip(b"\0")
        except (EOFError, zlib.error) as error:
            raise InvalidArgument(f"Failed to uncompress the gzip body: {error}") from error
        raise InvalidArgument(
            f"Failed to uncompress the gzip body: it has more than {_MOST_GZIP_MEMBERS - 1} members"
        )

    def _too_large(self, what: str, size: int) -> TooLarge:
        return TooLarge(
            f"{what} of {size:,} bytes or more: this server takes {self._most_bytes:,} "
            "(--rest_api_max_body_bytes)"
        )


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _files_of(request: Request) -> list[bytes]:
    """Return the files of a form, in its order."""
    async with request.form(max_files=_MAX_FILES, max_part_size=_MAX_FIELD_BYTES) as form:
        parts = form.multi_items()
        return [await part.read() for _, part in parts if isinstance(part, UploadFile)]
