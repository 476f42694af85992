"""Versions appear whole or not at all, and never twice."""

import errno
import os
import re
import threading
from pathlib import Path

import pytest

from tl.errors import ExportError
from tl.export.versions import check_writable, list_versions, publish_version


def write_model(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"model")


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_versions_count_from_one(tmp_path: Path) -> None:
    model = tmp_path / "models" / "flowers"

    paths = [publish_version(model, write_model) for _ in range(3)]

    assert [path.name for path in paths] == ["1", "2", "3"]
    assert visible(model) == ["1", "2", "3"]
    assert (paths[2] / "saved_model.pb").read_bytes() == b"model"


def test_next_version_comes_after_the_highest(tmp_path: Path) -> None:
    for name in ("2", "11", "007", "0", "-3", "1.5", ".writing-x", "text", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "99").write_text("a file is no version")

    assert list_versions(tmp_path) == [2, 7, 11]
    assert publish_version(tmp_path, write_model).name == "12"


def test_number_taken_by_a_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("not ours")

    assert publish_version(tmp_path, write_model).name == "2"
    assert (tmp_path / "1").read_text() == "not ours"


def test_version_under_way_is_hidden_and_readable_by_others_once_there(tmp_path: Path) -> None:
    seen: list[str] = []

    def write(folder: Path) -> None:
        write_model(folder)
        seen.extend(visible(tmp_path))

    path = publish_version(tmp_path, write)

    assert len(seen) == 1
    assert seen[0].startswith(".")
    assert list_versions(tmp_path) == [1]
    assert path.stat().st_mode & 0o777 == 0o755


def test_exports_at_the_same_moment_get_a_number_each(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    names: list[str] = []

    def write(folder: Path) -> None:
        write_model(folder)
        together.wait()

    threads = [
        threading.Thread(target=lambda: names.append(publish_version(tmp_path, write).name))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(names) == visible(tmp_path) == [str(number) for number in range(1, 9)]


def test_two_processes_get_a_number_each(tmp_path: Path) -> None:
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:  # no TensorFlow runs in what is forked
            code = 1
            try:
                for _ in range(20):
                    publish_version(tmp_path, write_model)
                code = 0
            finally:
                os._exit(code)
        children.append(child)

    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert list_versions(tmp_path) == list(range(1, 41))


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ExportError("no"), KeyboardInterrupt],
)
def test_failure_leaves_nothing_behind(
    tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    publish_version(tmp_path, write_model)

    def write(folder: Path) -> None:
        write_model(folder)
        raise error

    with pytest.raises((ExportError, KeyboardInterrupt)):
        publish_version(tmp_path, write)

    assert visible(tmp_path) == ["1"]


def test_full_disk_is_said_with_what_to_do(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ExportError, match="No space left on device. Free some space .* no version"):
        publish_version(tmp_path, write)


def test_what_can_be_written_passes_and_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "models" / "flowers")

    assert visible(tmp_path) == []


def test_output_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")

    with pytest.raises(ExportError, match=re.escape(f"{tmp_path}/models is a file")):
        check_writable(tmp_path / "models" / "flowers")


def test_output_that_even_root_cannot_write_is_refused() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")

    with pytest.raises(ExportError, match="cannot write to /proc/models"):
        check_writable(Path("/proc/models"))


def test_a_models_own_folder_that_is_a_file_is_an_export_error(tmp_path: Path) -> None:
    (tmp_path / "flowers").write_text("")

    with pytest.raises(ExportError, match="cannot write to .*flowers"):
        publish_version(tmp_path / "flowers", write_model)
