"""The client over TLS and mutual TLS, on both transports."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving import AsyncClient, Client
from serving.errors import InvalidArgument, Unreachable
from tl.errors import PredictionError

from .certificates import Authority
from .picture_files import encoded, photo


@pytest.fixture(scope="module")
def address(start_tls: Callable[[bool], Any]) -> Callable[[str], str]:
    """Give the address of a server that asks for certificates."""
    server = start_tls(True)
    grpcs = f"grpcs://{server.addresses['gRPC']}"
    return lambda scheme: f"{grpcs if scheme == 'grpcs' else server.rest}/numbers"


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> dict[str, Path]:
    """What a client that is known needs."""
    return put(tmp_path, authority, authority)


def put(folder: Path, ca: Authority, signer: Authority) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    identity = signer.identity("client")
    texts = {"ca": ca.certificate, "certificate": identity.certificate, "key": identity.key}
    for name, text in texts.items():
        (folder / f"{name}.pem").write_text(text)
    return {name: folder / f"{name}.pem" for name in texts}


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_who_is_known_is_answered(
    address: Callable[[str], str], files: dict[str, Path], scheme: str
) -> None:
    async def run() -> dict[int, str]:
        async with AsyncClient(address(scheme), **files) as client:  # type: ignore[arg-type]
            return await client.status()

    with Client(address(scheme), **files) as client:  # type: ignore[arg-type]
        assert client.status() == {1: "AVAILABLE"}
        answer = client.predict([b"a", b"b"], "echo", "text", batch_size=1)
    assert answer["text"].tolist() == ["a", "b"]
    assert asyncio.run(run()) == {1: "AVAILABLE"}


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_nobody_else_is_trusted_on_either_side(
    address: Callable[[str], str],
    authority: Authority,
    files: dict[str, Path],
    tmp_path: Path,
    scheme: str,
) -> None:
    stranger = Authority()
    wrong: list[dict[str, Path]] = [
        {},  # the server is signed by nobody whom the machine knows
        {"ca": files["ca"]},  # no certificate, which the server asks for
        put(tmp_path / "1", authority, stranger),
        put(tmp_path / "2", stranger, authority),
    ]
    for options in wrong:
        with (
            Client(address(scheme), retries=0, timeout_s=5, **options) as client,  # type: ignore[arg-type]
            pytest.raises(Unreachable, match="cannot reach|is not there"),
        ):
            client.status()
    with (
        Client(address(scheme).replace("s://", "://"), retries=0, timeout_s=5) as client,
        pytest.raises(Unreachable),
    ):
        client.status()


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_files_that_cannot_be_are_refused(
    files: dict[str, Path], tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "text").write_text("no PEM")
    other = put(tmp_path / "other", Authority(), Authority())
    wrong: dict[str, dict[str, Path]] = {
        "cannot read ca .*gone: No such file": {"ca": tmp_path / "gone"},
        "ca .*text cannot be used": {"ca": tmp_path / "text"},
        "go together": {"key": files["key"]},
        "cannot be used": {"certificate": files["certificate"], "key": other["key"]},
    }
    for message, options in wrong.items():
        with pytest.raises(InvalidArgument, match=message):
            Client(f"{scheme}://localhost/m", **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=f"in the clear: write {scheme}://localhost"):
        Client(f"{scheme[:-1]}://localhost/m", ca=files["ca"])


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_tl_predict_shows_its_certificate(
    address: Callable[[str], str], files: dict[str, Path], tmp_path: Path, scheme: str
) -> None:
    from click.testing import CliRunner

    from tl.cli.predict import predict

    picture = tmp_path / "picture.png"
    picture.write_bytes(encoded(photo(), "PNG"))
    url = address(scheme).replace("/numbers", "/cats")
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]

    known = CliRunner().invoke(predict, [url, str(picture), *options])
    unknown = CliRunner().invoke(predict, [url, str(picture), *options[:2]])

    assert (known.exit_code, known.output.split()[1]) == (0, "lynx")
    assert isinstance(unknown.exception, PredictionError)
