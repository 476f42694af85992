"""Options of the gRPC server as the command line has them."""

import re

from serving.errors import UsageError


def parse_channel_arguments(text: str) -> tuple[tuple[str, str | int], ...]:
    """Read `k=v,k=v`; values that are numbers become numbers.

    Raises:
        UsageError: an argument is none, or a number that gRPC cannot take.
    """
    arguments: list[tuple[str, str | int]] = []
    for argument in filter(None, text.split(",")):
        key, separator, value = argument.partition("=")
        if not separator:
            raise UsageError(f"--grpc_channel_arguments has {argument!r}: write it as key=value")
        number = int(value) if re.fullmatch("-?[0-9]{1,20}", value) else None
        if number is not None and not -(2**31) <= number < 2**31:
            raise UsageError(
                f"--grpc_channel_arguments has {argument!r}: gRPC takes 32-bit numbers"
            )
        arguments.append((key, value if number is None else number))
    return tuple(arguments)
