r"""Keys and certificates from TF Serving's `SSLConfig` text file, for both transports.

    server_key: "-----BEGIN PRIVATE KEY-----\n..."
    server_cert: "-----BEGIN CERTIFICATE-----\n..."
    custom_ca: "-----BEGIN CERTIFICATE-----\n..."
    client_verify: true

The fields hold PEM text and not paths. With `client_verify` every client needs a certificate that
`custom_ca` has signed.
"""

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from serving.config_messages import SSLConfig
from serving.errors import StartError
from serving.text_proto import read_text_proto


@dataclass(frozen=True, slots=True)
class Tls:
    """What a server proves itself with, and whom it trusts; all in PEM.

    Attributes:
        key: private.
        certificate: with those of its signers behind it.
        authority: that clients' certificates are signed by; empty where none is asked for.
    """

    key: str = field(repr=False)
    certificate: str
    authority: str

    def for_grpc(self) -> grpc.ServerCredentials:
        """Return what a gRPC port takes."""
        return grpc.ssl_server_credentials(
            [(self.key.encode(), self.certificate.encode())],
            root_certificates=self.authority.encode() or None,
            require_client_auth=bool(self.authority),
        )

    def for_rest(self) -> ssl.SSLContext:
        """Return what a socket takes; TLS 1.2 is the oldest that is spoken."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The standard library reads keys from files only: one that nobody else may read.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{self.key}\n{self.certificate}\n")
            file.flush()
            context.load_cert_chain(file.name)
        if self.authority:
            context.load_verify_locations(cadata=self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def read_tls_file(path: Path) -> Tls:
    """Read a file, and make sure that key and certificates are some and fit together.

    Raises:
        StartError: with what is wrong.
    """
    message = read_text_proto(path, SSLConfig())
    if not message.server_key or not message.server_cert:
        raise StartError(f"{path}: server_key and server_cert are both needed, as PEM text")
    if message.client_verify and not message.custom_ca:
        raise StartError(f"{path}: client_verify needs custom_ca, the PEM of who signs clients")
    authority = message.custom_ca if message.client_verify else ""
    found = Tls(message.server_key, message.server_cert, authority)
    try:
        found.for_rest()
    except (ssl.SSLError, ValueError) as error:
        raise StartError(
            f"{path}: key and certificates cannot be used: {error}. They are PEM text, not paths"
        ) from error
    return found
