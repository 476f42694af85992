import gzip
import hashlib
import http.server
import io
import socket
import struct
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tl.data.formats.arrays import read_idx
from tl.data.formats.builtin import BUILT_IN, DOWNLOADS, Download, read_built_in
from tl.data.formats.folder import read_folder
from tl.data.sources import open_dataset
from tl.errors import ConfigError, DatasetError


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback, and the folder that it serves."""
    root = tmp_path / "site"
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", root
    server.shutdown()
    server.server_close()


def idx_gz(array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.tobytes())


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_files_are_fetched_once_checked_and_read(
    site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, root = site
    files = []
    for prefix in ("train", "t10k"):
        for kind, array in (("images-idx3", np.zeros((4, 5, 6), np.uint8)),
                            ("labels-idx1", np.arange(4, dtype=np.uint8))):  # fmt: skip
            data = idx_gz(array)
            name = f"{prefix}-{kind}-ubyte.gz"
            (root / name).write_bytes(data)
            files.append((f"{url}/{name}", md5(data)))
    monkeypatch.setitem(DOWNLOADS, "mnist", Download(tuple(files), read_idx))

    dataset = read_built_in("mnist", tmp_path / "cache")

    assert (dataset.name, len(dataset)) == ("mnist", 8)
    for path in root.iterdir():
        path.unlink()
    assert len(read_built_in("mnist", tmp_path / "cache")) == 8


def archive_of(folder: str, evil: str | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name in (f"{folder}/a/1.png", f"{folder}/b/1.png", *([evil] if evil else [])):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"png"))
    return out.getvalue()


def serve_flowers(
    site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, data: bytes, digest: str | None = None
) -> None:
    url, root = site
    (root / "flowers.tgz").write_bytes(data)
    files = ((f"{url}/flowers.tgz", digest or md5(data)),)
    monkeypatch.setitem(DOWNLOADS, "flowers", Download(files, read_folder, "flower_photos"))


def test_archive_is_unpacked_into_the_cache(
    site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_flowers(site, monkeypatch, archive_of("flower_photos"))

    dataset = read_built_in("flowers", tmp_path / "cache")

    assert (dataset.name, dataset.class_names) == ("flowers", ("a", "b"))


def test_archive_that_writes_elsewhere_is_refused(
    site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_flowers(site, monkeypatch, archive_of("flower_photos", "../../../evil.png"))

    with pytest.raises(DatasetError, match="cannot unpack .*outside"):
        read_built_in("flowers", tmp_path / "cache")

    assert not list(tmp_path.rglob("evil.png"))
    assert not list(tmp_path.rglob(".unpacking-*"))


def test_another_file_than_the_published_one_is_refused(
    site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_flowers(site, monkeypatch, b"<html>Welcome to our hotel</html>", digest="0" * 32)

    with pytest.raises(DatasetError, match="is not the file that http.*Delete it"):
        read_built_in("flowers", tmp_path / "cache")


def test_file_put_there_by_hand_is_taken(
    site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive_of("flower_photos")
    serve_flowers(site, monkeypatch, data)
    (site[1] / "flowers.tgz").unlink()
    with pytest.raises(
        DatasetError, match=r"cannot download .*404.* put it at (\S+) \(md5"
    ) as caught:
        read_built_in("flowers", tmp_path / "cache")
    place = Path(str(caught.value).split("put it at ")[1].split(" (md5")[0])

    place.write_bytes(data)

    assert len(read_built_in("flowers", tmp_path / "cache")) == 2


@pytest.mark.parametrize("name", sorted(DOWNLOADS))
def test_offline_every_name_fails_within_seconds_and_says_where_to_put_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    wanted = DOWNLOADS[name]
    files = tuple((url.replace(url.split("/")[2], f"127.0.0.1:{port}").replace("https", "http"), d)
                  for url, d in wanted.files)  # fmt: skip
    monkeypatch.setitem(DOWNLOADS, name, Download(files, wanted.read, wanted.folder))
    began = time.monotonic()

    with pytest.raises(DatasetError, match="put it at .* or give a folder that has it"):
        read_built_in(name, tmp_path)

    assert time.monotonic() - began < 10
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fashion_mnist'"):
        open_dataset("fashion-mnist")
    assert set(BUILT_IN) == {"digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "flowers"}


def test_official_files_of_fashion_mnist_have_the_digests_of_the_table(shared_data: Path) -> None:
    folder = shared_data / "fashion_mnist"
    if not folder.is_dir():
        pytest.skip("no fashion_mnist beside the checkout")
    by_name = {url.rpartition("/")[2]: digest for url, digest in DOWNLOADS["fashion_mnist"].files}

    # The pictures' files here were packed anew; the labels' are the original ones.
    for name in ("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        assert md5((folder / name).read_bytes()) == by_name[name]
