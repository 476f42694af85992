from collections.abc import Callable
from pathlib import Path

import pytest

from serving.directory import (
    check_base_path,
    check_folder,
    find_models,
    find_versions,
    parse_version,
)
from serving.errors import StartError


def make_version(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"model")


@pytest.mark.parametrize(
    ("name", "version"),
    [("1", 1), ("00000123", 123), ("0", 0), ("9223372036854775807", 2**63 - 1)],
)
def test_whole_number_is_a_version(name: str, version: int) -> None:
    assert parse_version(name) == version


@pytest.mark.parametrize("name", ["", "v1", "1.part", "1a", "-1", "+1", "1_0", "²", "9" * 19])
def test_anything_else_is_none(name: str) -> None:
    assert parse_version(name) is None


def test_folder_without_a_saved_model_is_no_version_yet(tmp_path: Path) -> None:
    make_version(tmp_path / "1")
    make_version(tmp_path / "3.part")
    (tmp_path / "2" / "variables").mkdir(parents=True)

    assert set(find_versions(tmp_path)) == {1}


def test_contents_of_a_version_change_with_any_of_its_files(tmp_path: Path) -> None:
    make_version(tmp_path / "1")
    before = find_versions(tmp_path)[1]
    (tmp_path / "1" / "variables").mkdir()
    (tmp_path / "1" / "variables" / "variables.index").write_bytes(b"")

    assert find_versions(tmp_path)[1].contents != before.contents


def test_folder_of_versions_is_one_model_named_after_it(tmp_path: Path) -> None:
    make_version(tmp_path / "flowers" / "1")

    assert [model.name for model in find_models(tmp_path / "flowers")] == ["flowers"]


def test_folder_of_models_is_each_sub_folder_that_has_versions(tmp_path: Path) -> None:
    make_version(tmp_path / "flowers" / "1")
    make_version(tmp_path / "birds" / "7")
    (tmp_path / "notes").mkdir()

    assert [model.name for model in find_models(tmp_path)] == ["birds", "flowers"]


def test_missing_base_path_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nowhere does not exist: .*nowhere/1/saved_model\.pb"):
        check_base_path(tmp_path / "nowhere")


@pytest.mark.parametrize("check", [check_base_path, check_folder])
def test_saved_model_without_a_number_is_refused_with_the_fix(
    tmp_path: Path, check: Callable[[Path], None]
) -> None:
    make_version(tmp_path / "flowers")

    with pytest.raises(StartError, match=r"is itself a SavedModel: move it into .*flowers/1"):
        check(tmp_path / "flowers")


def test_path_of_a_version_is_refused_with_the_path_to_serve(tmp_path: Path) -> None:
    make_version(tmp_path / "flowers" / "1")

    with pytest.raises(StartError, match=r"serve the folder above it, .*flowers$"):
        check_folder(tmp_path / "flowers" / "1")


def test_folder_with_other_things_than_versions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()

    with pytest.raises(StartError, match="no versions found under base path"):
        check_folder(tmp_path)


def test_empty_folder_passes_because_it_may_be_filled(tmp_path: Path) -> None:
    check_base_path(tmp_path)
    check_folder(tmp_path)
