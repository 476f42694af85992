import shutil
from pathlib import Path

import numpy as np
import pytest

from tl.data import decoded_cache
from tl.data.decoded_cache import DiskCache, RamCache, free_memory, make_cache
from tl.errors import ConfigError, DatasetError

SHAPES = {"a": (3, 4), "b": (5, 2)}
IDENTITIES = {"a": "1", "b": "2"}


def picture(
    shape: tuple[int, int], value: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.full((*shape, 3), value, np.uint8)


def test_auto_keeps_what_is_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = sum(3 * height * width for height, width in SHAPES.values())
    for auto, free, kept in ((needed, 2**30, True), (needed - 1, 2**30, False), (2**30, 0, False)):
        monkeypatch.setattr(decoded_cache, "AUTO_BYTES", auto)
        monkeypatch.setattr(decoded_cache, "free_memory", lambda free=free: free)
        cache = make_cache("auto", tmp_path, SHAPES, IDENTITIES)
        assert isinstance(cache, RamCache) == kept
        assert (cache is None) == (not kept)


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_what_is_put_is_found_and_cannot_be_written(kind: str, tmp_path: Path) -> None:
    cache = make_cache(kind, tmp_path, SHAPES, IDENTITIES)  # type: ignore[arg-type]
    assert cache is not None
    assert cache.get("a") is None

    cache.put("a", picture((3, 4), 7))
    cache.put("b", picture((5, 2), 8))

    for key, value in (("a", 7), ("b", 8)):
        found = cache.get(key)
        assert found is not None
        np.testing.assert_array_equal(found, picture(SHAPES[key], value))
        with pytest.raises(ValueError, match="read-only"):
            found[0, 0, 0] = 1
    assert cache.get("c") is None


def test_picture_of_another_shape_or_key_is_not_kept_on_disk(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, SHAPES, IDENTITIES)

    cache.put("a", picture((4, 3), 7))
    cache.put("c", picture((4, 3), 7))

    assert cache.get("a") is None
    assert cache.get("c") is None


def test_other_contents_and_other_sizes_get_files_of_their_own(tmp_path: Path) -> None:
    DiskCache(tmp_path, SHAPES, IDENTITIES).put("a", picture((3, 4), 7))

    assert DiskCache(tmp_path, SHAPES, IDENTITIES).get("a") is not None
    assert DiskCache(tmp_path, SHAPES, {**IDENTITIES, "a": "3"}).get("a") is None
    assert DiskCache(tmp_path, {**SHAPES, "b": (5, 3)}, IDENTITIES).get("a") is None


def test_cache_that_does_not_fit_is_refused_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {str(n): (4000, 6000) for n in range(100)}
    names = dict.fromkeys(large, "x")
    monkeypatch.setattr(decoded_cache, "free_memory", lambda: 2 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: type("Usage", (), {"free": 3 * 10**9}))

    with pytest.raises(ConfigError, match=r"ram needs 7.2 GB for 100 .* 1.2 GB of memory"):
        make_cache("ram", tmp_path, large, names)
    with pytest.raises(ConfigError, match=r"disk needs 7.2 GB for 100 .* 3.0 GB of .* none"):
        make_cache("disk", tmp_path / "not" / "yet", large, names)
    assert make_cache("none", tmp_path, large, names) is None
    assert isinstance(make_cache("ram", tmp_path, SHAPES, IDENTITIES), RamCache)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(DatasetError, match="cannot make the cache .* TL_CACHE_DIR"):
        DiskCache(tmp_path / "file", SHAPES, IDENTITIES)


@pytest.mark.parametrize(
    ("available", "limit", "current", "free"),
    [("8000000", "max", "5", 8_192_000_000), ("8000000", "1000", "300", 700), ("1", "9", "99", 0)],
)
def test_memory_of_a_container_counts(
    available: str, limit: str, current: str, free: int, tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:  {available} kB\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(limit + "\n")
    (group / "memory.current").write_text(current + "\n")

    assert free_memory(tmp_path) == free


def test_picture_without_its_mark_is_decoded_again(tmp_path: Path) -> None:
    # As a kill between the two writes leaves it: pixels, and no mark.
    def opened() -> DiskCache:
        return DiskCache(tmp_path, {"a": (2, 3)}, {"a": "x"})

    opened().put("a", picture((2, 3), 7))
    assert opened().get("a") is not None
    (marks,) = tmp_path.glob("*.marks")
    marks.write_bytes(b"\0")

    assert opened().get("a") is None
