"""Lists of pictures to leave out: by content before by name, and clear where they cannot be."""

from pathlib import Path

import pytest

from tl.data.exclude import excluded_places
from tl.errors import ConfigError

KEYS = ["a/1.jpg", "a/2.jpg", "b/ü,1.jpg"]
IDENTITIES = ["11" * 32, "22" * 32, "33" * 32]


def excluded(text: str, tmp_path: Path) -> list[bool]:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return list(map(bool, excluded_places(path, KEYS, IDENTITIES)))


def test_names_and_contents(tmp_path: Path) -> None:
    assert excluded('key\n"b/ü,1.jpg"\n', tmp_path) == [False, False, True]
    assert excluded(f"given,identity\nx,{IDENTITIES[1]}\n", tmp_path) == [False, True, False]
    # A renamed picture is found by content, and its old name, taken by another, is not.
    renamed = f"key,identity,given\na/1.jpg,{IDENTITIES[2]},b\n"
    assert excluded(renamed, tmp_path) == [False, False, True]
    assert excluded("\ufeffkey\r\na/1.jpg\r\nnone/such.jpg\r\n", tmp_path) == [True, False, False]


def test_empty_list_leaves_nothing_out(tmp_path: Path) -> None:
    assert excluded("key,identity\n", tmp_path) == [False] * 3


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither 'key' nor 'identity' among name, why"):
        excluded("name,why\na,b\n", tmp_path)
    with pytest.raises(ConfigError, match="none of its 2 pictures is in this dataset.*x.jpg"):
        excluded("key\nx.jpg\ny.jpg\n", tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        excluded_places(tmp_path / "none.csv", KEYS, IDENTITIES)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00key")
    with pytest.raises(ConfigError, match="cannot be read as CSV"):
        excluded_places(tmp_path / "binary.csv", KEYS, IDENTITIES)
