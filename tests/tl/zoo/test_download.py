import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tl.errors import WeightsError
from tl.written_aside import written_aside
from tl.zoo.download import Unreachable, download
from tl.zoo.published import PublishedFile

from .conftest import ServeWeights, hdf5

CONTENT = hdf5(1000)


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
    with pytest.raises(WeightsError, match="no HDF5 at all"):
        download(published(serve(b"<html>Welcome to our hotel</html>")), tmp_path)

    assert not (tmp_path / "weights.h5").exists()


def test_cut_connection_leaves_nothing(serve: ServeWeights, tmp_path: Path) -> None:
    url = serve(CONTENT, announced_bytes=2 * len(CONTENT))

    with pytest.raises(WeightsError, match=str(2 * len(CONTENT))):
        download(published(url), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_half_a_file_of_an_unknown_length_and_digest_is_not_taken(
    serve: ServeWeights, tmp_path: Path
) -> None:
    """A server or proxy that closes early, and never said how much would come."""
    url = serve(CONTENT[: len(CONTENT) // 2], announced_bytes=None)

    for kept in ("weights.h5.refused", "weights.h5.refused-2"):
        with pytest.raises(WeightsError, match=f"cut off.*kept as .*{kept};"):
            download(published(url), tmp_path)

    both = sorted(tmp_path.iterdir())
    assert [file.name for file in both] == ["weights.h5.refused", "weights.h5.refused-2"]
    assert [file.read_bytes() for file in both] == [CONTENT[: len(CONTENT) // 2]] * 2


def test_another_file_of_the_name_is_moved_and_never_lost(
    serve: ServeWeights, tmp_path: Path
) -> None:
    file = published(serve(CONTENT), hashlib.md5(CONTENT).hexdigest())
    told: list[Path] = []
    (tmp_path / "weights.h5.refused").write_bytes(b"kept before")
    for own in (b"mine", b"mine, too"):
        (tmp_path / "weights.h5").write_bytes(own)
        download(file, tmp_path, on_kept=told.append)

    assert [one.name for one in told] == ["weights.h5.refused-2", "weights.h5.refused-3"]
    assert [one.read_bytes() for one in told] == [b"mine", b"mine, too"]
    assert (tmp_path / "weights.h5.refused").read_bytes() == b"kept before"
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_own_file_stays_where_the_download_fails(closed_url: str, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"mine")
    with pytest.raises(WeightsError):
        download(published(closed_url), tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == b"mine"


def test_length_that_is_no_number_is_said(serve: ServeWeights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a length of 'many'"):
        download(published(serve(CONTENT, announced_bytes="many")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_killed_downloads_left_is_removed_after_a_day(
    serve: ServeWeights, tmp_path: Path
) -> None:
    old, other, running = (
        tmp_path / name
        for name in (".1-0a1b2c3d-weights.h5", ".1-0a1b2c3d-others.h5", ".1-99999999-weights.h5")
    )
    for path in (old, other, running):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)

    download(published(serve(CONTENT)), tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"weights.h5", other.name, running.name}


def test_two_processes_of_the_same_number_write_to_different_hidden_files(tmp_path: Path) -> None:
    """Two containers that share a cache are both process 1."""
    with written_aside(tmp_path / "x.h5") as one, written_aside(tmp_path / "x.h5") as other:
        assert one != other
        assert {one.suffix, other.suffix} == {".h5"}
        one.write_text("one")
        other.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


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
        "import sys, pathlib; from tl.zoo.download import Unreachable, download; "
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

    with pytest.raises(WeightsError, match="models cannot be made a folder .File exists.; name"):
        download(published(serve(CONTENT)), tmp_path / "models")


def test_no_folder_is_left_where_nothing_came(closed_url: str, tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        download(published(closed_url), tmp_path / "models")
    assert list(tmp_path.iterdir()) == []
