"""TLS and mutual TLS on both transports, by TF Serving's file."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from serving.errors import StartError
from serving.tls import read_tls_file

from .certificates import Authority, Identity, write


def rest(server: Any, authority: Authority, client: Identity | None, folder: Path) -> int:
    """Ask whether the server is alive, over HTTPS."""
    context = ssl.create_default_context(cadata=authority.certificate)
    if client is not None:
        (folder / "client.pem").write_text(client.key + client.certificate)
        context.load_cert_chain(folder / "client.pem")
    with urllib.request.urlopen(f"{server.rest}/healthz", context=context, timeout=10) as answer:
        return int(answer.status)


def over_grpc(server: Any, credentials: grpc.ChannelCredentials | None) -> int:
    """Ask for the state of the model."""
    target = server.addresses["gRPC"]
    channel = (
        grpc.insecure_channel(target)
        if credentials is None
        else grpc.secure_channel(target, credentials)
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "numbers"
    with channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        return int(stub.GetModelStatus(request, timeout=10).model_version_status[0].state)


@pytest.mark.parametrize("verify", [False, True])
def test_only_who_is_known_is_answered(
    start_tls: Callable[[bool], Any], authority: Authority, verify: bool, tmp_path: Path
) -> None:
    server = start_tls(verify)
    client, stranger = authority.identity("client"), Authority().identity("stranger")
    root = authority.certificate.encode()
    known = grpc.ssl_channel_credentials(root, client.key.encode(), client.certificate.encode())
    unknown = grpc.ssl_channel_credentials(
        root, stranger.key.encode(), stranger.certificate.encode()
    )

    assert server.rest.startswith("https://")
    assert rest(server, authority, client, tmp_path) == 200
    assert over_grpc(server, known) == 30
    if verify:
        for one in (None, stranger):
            with pytest.raises((urllib.error.URLError, ssl.SSLError, OSError)):
                rest(server, authority, one, tmp_path)
        for credentials in (grpc.ssl_channel_credentials(root), unknown):
            with pytest.raises(grpc.RpcError) as refused:
                over_grpc(server, credentials)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    else:
        assert rest(server, authority, None, tmp_path) == 200
        assert over_grpc(server, grpc.ssl_channel_credentials(root)) == 30
    # In the clear nothing is answered.
    with pytest.raises(grpc.RpcError):
        over_grpc(server, None)
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(server.rest.replace("https", "http") + "/healthz", timeout=10)
    assert server.end() == 0


def test_files_that_cannot_be_are_refused(authority: Authority, tmp_path: Path) -> None:
    one, other, file = authority.identity("a"), authority.identity("b"), tmp_path / "ssl.config"
    wrong = {
        "cannot be used": write(file, Identity(one.key, other.certificate)),
        "PEM text, not paths": write(tmp_path / "2", Identity("/etc/key.pem", "/etc/cert.pem")),
        "both needed": write(tmp_path / "3", Identity("", one.certificate)),
        "client_verify needs custom_ca": write(tmp_path / "4", one, verify=True),
        "cannot be used:": write(tmp_path / "5", one, "no certificate", verify=True),
        "cannot read": tmp_path / "6",
    }
    (tmp_path / "7").write_text("server_keys: 3")
    wrong["Invalid protobuf file"] = tmp_path / "7"

    for message, path in wrong.items():
        with pytest.raises(StartError, match=message):
            read_tls_file(path)
    assert read_tls_file(write(file, one)).authority == ""
    assert "PRIVATE" not in repr(read_tls_file(file))
