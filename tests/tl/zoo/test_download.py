import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tl.errors import WeightsError
from tl.zoo.download import download
from tl.zoo.published import PublishedFile

from .conftest import ServeWeights

CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 20


def published(url: str, digest: str | None = None) -> PublishedFile:
    return PublishedFile(name="weights.h5", url=url, digest=digest)


@pytest.mark.parametrize(
    "digest", [None, hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()]
)
def test_download_puts_the_file_into_the_folder(
    serve: ServeWeights, tmp_path: Path, digest: str | None
) -> None:
    path = download(published(serve(CONTENT), digest), tmp_path / "models")

    assert path == tmp_path / "models" / "weights.h5"
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["weights.h5"]


def test_wrong_digest_is_refused_and_kept_aside(serve: ServeWeights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="but Keras publishes 0000"):
        download(published(serve(CONTENT), "0" * 32), tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["weights.h5.refused"]


def test_log_in_page_is_not_taken_for_weights(serve: ServeWeights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not HDF5"):
        download(published(serve(b"<html>Welcome to our hotel</html>")), tmp_path)

    assert not (tmp_path / "weights.h5").exists()


def test_cut_connection_leaves_nothing(serve: ServeWeights, tmp_path: Path) -> None:
    url = serve(CONTENT, announced_bytes=2 * len(CONTENT))

    with pytest.raises(WeightsError, match=str(2 * len(CONTENT))):
        download(published(url), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_cut_download_begins_again(serve: ServeWeights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        download(published(serve(CONTENT, announced_bytes=2 * len(CONTENT))), tmp_path)
    path = download(published(serve(CONTENT), hashlib.md5(CONTENT).hexdigest()), tmp_path)
    assert path.read_bytes() == CONTENT


def test_two_processes_that_download_at_once_both_have_the_whole_file(
    serve: ServeWeights, tmp_path: Path
) -> None:
    content = CONTENT[:8] + bytes(20_000_000)
    url, digest = serve(content), hashlib.md5(content).hexdigest()
    script = (
        "import sys, pathlib; from tl.zoo.download import download; "
        "from tl.zoo.published import PublishedFile; "
        "f = PublishedFile(name='weights.h5', url=sys.argv[1], digest=sys.argv[2]); "
        "print(download(f, pathlib.Path(sys.argv[3])).stat().st_size)"
    )
    words = [sys.executable, "-c", script, url, digest, str(tmp_path)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate(timeout=60)[0].strip() for one in both] == [str(len(content))] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["weights.h5"]
    assert (tmp_path / "weights.h5").read_bytes() == content


def test_missing_file_names_the_status(serve: ServeWeights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="404"):
        download(published(serve(b"", status=404)), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_closed_port_fails_at_once(closed_url: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError, match="refused"):
        download(published(closed_url), tmp_path)
    assert time.monotonic() - started < 3


def test_server_that_never_answers_fails_in_time(silent_url: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"no answer within 0\.3 s"):
        download(published(silent_url), tmp_path, answer_timeout_s=0.3, read_timeout_s=5)
    assert time.monotonic() - started < 3
    assert list(tmp_path.iterdir()) == []


def test_server_silent_before_the_first_byte_ends_with_a_read_time_out(
    silent_url: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="timed out"):
        download(published(silent_url), tmp_path, answer_timeout_s=5, read_timeout_s=0.3)


def test_folder_that_cannot_be_made_is_named(serve: ServeWeights, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")

    with pytest.raises(WeightsError, match="models"):
        download(published(serve(CONTENT)), tmp_path / "models")
