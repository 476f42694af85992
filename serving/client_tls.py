"""Whom a client trusts, and what it proves itself with: PEM files, for both transports."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from serving.client_address import Address
from serving.errors import InvalidArgument

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Files that have been read once, and fit together.

    Attributes:
        context: for a socket.
        ca: PEM of whom the server's certificate is to be signed by; None trusts the usual ones.
        key: PEM, or None where the client shows no certificate.
        certificate: PEM, with those of its signers behind it; or None.
    """

    context: ssl.SSLContext
    ca: bytes | None
    key: bytes | None
    certificate: bytes | None


def read_tls(
    address: Address, ca: PathLike | None, certificate: PathLike | None, key: PathLike | None
) -> ClientTls | None:
    """Read the files of an address that is encrypted; None for one that is not.

    Raises:
        InvalidArgument: a file cannot be used, or the address is not encrypted.
    """
    given = {"ca": ca, "certificate": certificate, "key": key}
    if not address.is_encrypted:
        if named := [name for name, path in given.items() if path is not None]:
            raise InvalidArgument(
                f"{named[0]} is for TLS, and {address} is in the clear: write "
                f"{address.scheme}s://{address.netloc}"
            )
        return None
    if (certificate is None) != (key is None):
        raise InvalidArgument("certificate and key go together: give both paths, or none")
    pem = {name: None if path is None else _read(name, path) for name, path in given.items()}
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is one
        shown = ", ".join(f"{name} {path}" for name, path in given.items() if path is not None)
        raise InvalidArgument(f"{shown or 'TLS'} cannot be used: {error}") from error
    return ClientTls(context, pem["ca"], pem["key"], pem["certificate"])


def _read(name: str, path: PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"cannot read {name} {path}: {error.strerror or error}") from error


def _no_password() -> str:
    # OpenSSL would ask on the terminal, and gRPC cannot.
    raise ValueError("the key is encrypted; give one without a password")
